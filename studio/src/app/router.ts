import { createRouter } from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "@/model/search";
import { Loading, PageError } from "./PageStates";
import { routeTree } from "./routes";

export const router = createRouter({
  routeTree,
  // Studio is served under any prefix: the server writes it into <base>.
  basepath: new URL(document.baseURI).pathname.replace(/\/$/, "") || "/",
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: true,
  defaultPendingComponent: Loading,
  // A page that loads quickly shows no skeleton.
  defaultPendingMs: 300,
  defaultErrorComponent: PageError,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
