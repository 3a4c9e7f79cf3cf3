"""Orders have numbers, the platform answers them, and an order may be given anew.

Orders that were sent before get the numbers of the order in which they came into force. What stands in an answer of the
platform is written once, like the rest of the record (core, migration 0006).
"""

import uuid

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

NUMBERED = """
INSERT INTO moderation_ordercounter (id, last) VALUES (1, 0);
WITH numbered AS (
    SELECT e.id, d.published_at, row_number() OVER (ORDER BY d.published_at, e.verb, e.id) AS nth
      FROM moderation_enforcement e JOIN moderation_decision d ON d.id = e.decision_id
     WHERE e.state IN ('pending', 'acknowledged', 'failed') AND d.published_at IS NOT NULL)
UPDATE moderation_enforcement e SET sequence = n.nth, published_at = n.published_at FROM numbered n WHERE n.id = e.id;
UPDATE moderation_ordercounter SET last = (SELECT coalesce(max(sequence), 0) FROM moderation_enforcement);
"""
GUARD = """
CREATE TRIGGER holdfast_row_guard_numbers BEFORE UPDATE OF sequence, published_at, reverses_id
    ON moderation_enforcement FOR EACH ROW WHEN (
        OLD.reverses_id IS DISTINCT FROM NEW.reverses_id
        OR (OLD.sequence IS NOT NULL
            AND (OLD.sequence, OLD.published_at) IS DISTINCT FROM (NEW.sequence, NEW.published_at)))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_guard BEFORE UPDATE OF
        id, enforcement_id, source_id, state, at, counts_at, code, detail, received_at
    ON moderation_orderresult FOR EACH ROW WHEN (
        (OLD.id, OLD.enforcement_id, OLD.source_id, OLD.state, OLD.at, OLD.counts_at, OLD.code, OLD.detail, OLD.received_at)
        IS DISTINCT FROM
        (NEW.id, NEW.enforcement_id, NEW.source_id, NEW.state, NEW.at, NEW.counts_at, NEW.code, NEW.detail, NEW.received_at))
    EXECUTE FUNCTION holdfast_row_guard();
CREATE TRIGGER holdfast_row_stays BEFORE DELETE ON moderation_orderresult
    FOR EACH ROW EXECUTE FUNCTION holdfast_row_guard();
"""
UNGUARD = """
DROP TRIGGER holdfast_row_stays ON moderation_orderresult;
DROP TRIGGER holdfast_row_guard ON moderation_orderresult;
DROP TRIGGER holdfast_row_guard_numbers ON moderation_enforcement;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("moderation", "0015_practice_by_age"),
        ("reports", "0018_reports_of_a_source"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="OrderCounter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("last", models.BigIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name="OrderResult",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("done", "Carried out"),
                            ("impossible", "Could not be carried out"),
                            ("refused", "Refused"),
                        ],
                        max_length=12,
                    ),
                ),
                (
                    "at",
                    models.DateTimeField(
                        blank=True, help_text="When, by the platform's clock.", null=True
                    ),
                ),
                (
                    "counts_at",
                    models.DateTimeField(help_text="``at``, but never after it was received."),
                ),
                (
                    "code",
                    models.CharField(
                        blank=True, help_text="The platform's own word for why.", max_length=80
                    ),
                ),
                ("detail", models.CharField(blank=True, max_length=2000)),
                (
                    "received_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("stands", models.BooleanField(default=True)),
                ("seen_at", models.DateTimeField(blank=True, null=True)),
                (
                    "seen_how",
                    models.CharField(
                        blank=True,
                        choices=[("seen", "Marked as seen"), ("sent_again", "Sent again")],
                        max_length=12,
                    ),
                ),
            ],
        ),
        migrations.RemoveConstraint(
            model_name="delivery",
            name="one_delivery_per_endpoint",
        ),
        migrations.AddField(
            model_name="delivery",
            name="round",
            field=models.PositiveSmallIntegerField(
                db_default=1,
                default=1,
                help_text="2, 3 …: a lead gave the order anew after the platform could not carry it out.",
            ),
        ),
        migrations.AddField(
            model_name="enforcement",
            name="published_at",
            field=models.DateTimeField(blank=True, help_text="In force since.", null=True),
        ),
        migrations.AddField(
            model_name="enforcement",
            name="pulled_at",
            field=models.DateTimeField(
                blank=True,
                help_text="When the platform first read it by GET /enforcements.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="enforcement",
            name="reverses",
            field=models.OneToOneField(
                blank=True,
                help_text="The order that this one takes back. Once, never twice.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="reversed_by",
                to="moderation.enforcement",
            ),
        ),
        migrations.AddField(
            model_name="enforcement",
            name="sequence",
            field=models.BigIntegerField(
                blank=True,
                help_text="1, 2, 3 … of all orders of the installation, in the order in which they came into force.",
                null=True,
                unique=True,
            ),
        ),
        migrations.AddField(
            model_name="webhookendpoint",
            name="source",
            field=models.ForeignKey(
                blank=True,
                help_text="Hears of this source's reports only. Empty: of all.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="endpoints",
                to="reports.source",
            ),
        ),
        migrations.AlterField(
            model_name="delivery",
            name="state",
            field=models.CharField(
                choices=[
                    ("pending", "Waiting"),
                    ("delivered", "Delivered"),
                    ("failed", "Gave up"),
                    ("answered", "Answered without it"),
                    ("withdrawn", "Withdrawn"),
                ],
                default="pending",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="enforcement",
            name="state",
            field=models.CharField(
                choices=[
                    ("held", "In the undo window"),
                    ("cancelled", "Undone"),
                    ("pending", "Waiting to be sent"),
                    ("acknowledged", "Taken by the platform"),
                    ("failed", "Gave up after retries"),
                    ("done", "Carried out, as the platform said"),
                    ("impossible", "Could not be carried out, as the platform said"),
                    ("refused", "Refused by the platform"),
                    ("withdrawn", "Withdrawn before it was sent"),
                    ("not_sent", "Nothing to send"),
                ],
                default="held",
                max_length=12,
            ),
        ),
        migrations.AlterField(
            model_name="enforcement",
            name="verb",
            field=models.CharField(
                choices=[
                    ("ban_account", "Ban account"),
                    ("remove_media", "Remove media"),
                    ("close_group", "Close group"),
                    ("revoke_invite_link", "Revoke invite link"),
                    ("limit_forwarding", "Limit forwarding"),
                    ("warn", "Warn account"),
                    ("no_action", "No action"),
                    ("unban_account", "Unban account"),
                    ("restore_media", "Restore media"),
                    ("reopen_group", "Reopen group"),
                    ("restore_invite_link", "Restore invite link"),
                    ("allow_forwarding", "Allow forwarding again"),
                    ("withdraw_warning", "Withdraw warning"),
                ],
                max_length=20,
            ),
        ),
        migrations.AddConstraint(
            model_name="delivery",
            constraint=models.UniqueConstraint(
                fields=("enforcement", "endpoint", "round"),
                name="one_delivery_per_endpoint",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="enforcement",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("published_at", None), ("sequence", None)),
                    models.Q(("published_at__isnull", False), ("sequence__isnull", False)),
                    _connector="OR",
                ),
                name="order_in_force_has_its_number",
            ),
        ),
        migrations.AddField(
            model_name="orderresult",
            name="enforcement",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="results",
                to="moderation.enforcement",
            ),
        ),
        migrations.AddField(
            model_name="orderresult",
            name="seen_by",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="orderresult",
            name="source",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="reports.source"
            ),
        ),
        migrations.AddConstraint(
            model_name="orderresult",
            constraint=models.UniqueConstraint(
                condition=models.Q(("stands", True)),
                fields=("enforcement",),
                name="one_result_stands",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderresult",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("seen_at", None), ("seen_by", None), ("seen_how", "")),
                    models.Q(("seen_at__isnull", False), ("seen_by__isnull", False)),
                    _connector="OR",
                ),
                name="result_seen_by_somebody",
            ),
        ),
        migrations.AddIndex(
            model_name="orderresult",
            index=models.Index(
                condition=models.Q(
                    ("seen_at", None), ("stands", True), ("state__in", ["impossible", "refused"])
                ),
                fields=["received_at"],
                name="orders_that_came_back",
            ),
        ),
        migrations.RunSQL(NUMBERED, migrations.RunSQL.noop),
        migrations.RunSQL(GUARD, UNGUARD),
    ]
