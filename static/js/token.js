/* One-time links carry their token in the fragment, which browsers send to nobody. The page takes it out of its
   own address, so that it stays in no history, and posts it. Without script a person pastes it. */
const form = document.querySelector("[data-token-form]");
const token = decodeURIComponent(location.hash.slice(1));
if (form && token) {
  history.replaceState(null, "", location.pathname);
  form.elements.token.value = token;
  form.requestSubmit();
}
