// A walk along the API with types that openapi-typescript generated. Prints what it met, a line a station.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Line = components["schemas"]["BatchLine"];
type Order = components["schemas"];

declare const process: { env: Record<string, string | undefined> };

const client = createClient<paths>({
  baseUrl: process.env["HOLDFAST"] ?? "",
  headers: { Authorization: `Bearer ${process.env["HOLDFAST_KEY"]}` },
});

function must<T>(answer: { data?: T; error?: unknown }): NonNullable<T> {
  if (answer.data === undefined || answer.data === null) {
    throw new Error(JSON.stringify(answer.error));
  }
  return answer.data;
}

const account = must(
  await client.PUT("/api/v1/accounts/{account_id}", {
    params: { path: { account_id: "user-1001" } },
    body: { username: "alex" },
  }),
);
console.log("directory", account.external_id);

const media = must(
  await client.POST("/api/v1/media", {
    body: { file: "" },
    bodySerializer: () => {
      const form = new FormData();
      form.set("file", new Blob(["no picture at all"]), "photo.png");
      return form;
    },
  }),
);
console.log("media", media.kind, media.size);

const body: Order["ReportPayload"] = {
  subject: { account: "user-1001" },
  reason: "spam",
  items: [
    { surface: "reported_message", text: "markerword-alpha", sender: "user-1001" },
    { surface: "profile_photo", media: media.id },
  ],
};
const headers = { "Idempotency-Key": "walk-1" };
const report = must(await client.POST("/api/v1/reports", { params: { header: headers }, body }));
const again = await client.POST("/api/v1/reports", { params: { header: headers }, body });
if (must(again).id !== report.id) throw new Error("taken twice");
console.log("report", report.state, report.items.length, again.response.headers.get("Idempotent-Replayed"));

const read = must(
  await client.GET("/api/v1/reports/{report_id}", { params: { path: { report_id: report.id } } }),
);
const listed = must(await client.GET("/api/v1/reports", { params: { query: { limit: 10 } } }));
console.log("status", read.state, listed.reports.length);

const lines: Line[] = [
  { type: "account", external_id: "user-1002", username: "sam" },
  { type: "report", subject: { account: "user-1002" }, reason: "spam" },
];
const batch = must(
  await client.POST("/api/v1/batches", {
    body: [...lines, { type: "wish" }].map((line) => JSON.stringify(line)).join("\n"),
    bodySerializer: (text) => text,
    headers: { "Content-Type": "application/x-ndjson" },
  }),
);
console.log("batch", batch.accepted, batch.rejected, batch.results[2]?.code);

const found = must(
  await client.POST("/api/v1/match", {
    body: { texts: [{ id: "a", text: "Holiday pictures", surface: "group_name" }] },
  }),
);
console.log("match", found.texts?.[0]?.id, found.texts?.[0]?.findings.length);

const wrong = await client.POST("/api/v1/reports", { body: { subject: { account: " " }, reason: "spam" } });
if (wrong.error === undefined) throw new Error("taken");
console.log("problem", wrong.error.status, wrong.error.code, ...Object.keys(wrong.error.errors ?? {}));
