// Says the token once, in a header; the cookie that comes back says so from then on.

import { el } from "./dom.js";
import { visible } from "./format.js";

let problem = "";

export function loginPage(done, redraw) {
  const submit = async (event) => {
    event.preventDefault();
    const token = new FormData(event.target).get("token");
    let headers;
    try {
      headers = new Headers({ Authorization: `Bearer ${token}` });
    } catch {
      problem = "The token has a character that no token has.";
      redraw();
      return;
    }
    const answer = await fetch("/console/login", { headers, cache: "no-store" }).catch(() => null);
    problem = answer?.ok ? "" : answer?.status === 401 ? "This is not the token." : "It could not be asked: try again.";
    if (answer?.ok) done();
    else redraw();
  };
  return [el("section", { class: "login" }, el("h1", {}, "Sign in"),
    el("p", { class: "quiet" }, "The console of this process asks for its token."),
    el("form", { class: "form", onsubmit: submit },
      el("label", {}, "Token", el("input", { type: "password", name: "token", id: "token", required: true,
        autocomplete: "current-password" })),
      el("button", { type: "submit", class: "first" }, "Sign in")),
    problem ? el("p", { class: "note bad", role: "alert" }, visible(problem)) : null)];
}
