import { createRouter } from "@tanstack/react-router";
import { parseSearch, stringifySearch } from "@/model/search";
import { routeTree } from "./routes";

export const router = createRouter({
  routeTree,
  // Studio is served under any prefix: the server writes it into <base>.
  basepath: new URL(document.baseURI).pathname.replace(/\/$/, "") || "/",
  parseSearch,
  stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
