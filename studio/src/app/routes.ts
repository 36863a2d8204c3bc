import { createRootRoute, createRoute, lazyRouteComponent } from "@tanstack/react-router";
import { validateSearch as batchSearch } from "@/features/batches/detail/search";
import { validateSearch as batchesSearch } from "@/features/batches/search";
import { validateSearch as inboxSearch } from "@/features/inbox/search";
import { validateSearch as limitsSearch } from "@/features/limits/search";
import { validateSearch as runSearch } from "@/features/run/search";
import { validateSearch as runsSearch } from "@/features/runs/search";
import { validateSearch as scheduleSearch } from "@/features/schedules/detail/search";
import { validateSearch as startSearch } from "@/features/start/search";
import { validateSearch as webhooksSearch } from "@/features/webhooks/search";
import { validateSearch as workflowSearch } from "@/features/workflows/detail/search";
import { validateSearch as workflowsSearch } from "@/features/workflows/search";
import { validateSearch as workspacesSearch } from "@/features/workspaces/search";
import { code } from "@/ui/code";
import { NotFound } from "./NotFound";
import { Shell } from "./Shell";

/** Every page of Studio. A page is the default export of its feature's page.tsx and loads when it is first opened. */

const root = createRootRoute({ component: Shell, notFoundComponent: NotFound });
const at = <const Path extends string>(path: Path) => ({ getParentRoute: () => root, path });

export const routeTree = root.addChildren([
  createRoute({ ...at("/"), component: lazyRouteComponent(code(() => import("@/features/home/page"))) }),
  createRoute({
    ...at("/waiting"),
    component: lazyRouteComponent(code(() => import("@/features/inbox/page"))),
    validateSearch: inboxSearch,
  }),
  createRoute({ ...at("/runs"), component: lazyRouteComponent(code(() => import("@/features/runs/page"))), validateSearch: runsSearch }),
  createRoute({
    ...at("/runs/$workflowId"),
    component: lazyRouteComponent(code(() => import("@/features/run/page"))),
    validateSearch: runSearch,
  }),
  createRoute({
    ...at("/batches"),
    component: lazyRouteComponent(code(() => import("@/features/batches/page"))),
    validateSearch: batchesSearch,
  }),
  createRoute({
    ...at("/batches/$batchId"),
    component: lazyRouteComponent(code(() => import("@/features/batches/detail/page"))),
    validateSearch: batchSearch,
  }),
  createRoute({
    ...at("/workflows"),
    component: lazyRouteComponent(code(() => import("@/features/workflows/page"))),
    validateSearch: workflowsSearch,
  }),
  createRoute({
    ...at("/workflows/$app/$name"),
    component: lazyRouteComponent(code(() => import("@/features/workflows/detail/page"))),
    validateSearch: workflowSearch,
  }),
  createRoute({
    ...at("/workflows/$app/$name/start"),
    component: lazyRouteComponent(code(() => import("@/features/start/page"))),
    validateSearch: startSearch,
  }),
  createRoute({
    ...at("/limits"),
    component: lazyRouteComponent(code(() => import("@/features/limits/page"))),
    validateSearch: limitsSearch,
  }),
  createRoute({ ...at("/schedules"), component: lazyRouteComponent(code(() => import("@/features/schedules/page"))) }),
  createRoute({
    ...at("/schedules/$app/$name"),
    component: lazyRouteComponent(code(() => import("@/features/schedules/detail/page"))),
    validateSearch: scheduleSearch,
  }),
  createRoute({
    ...at("/webhooks"),
    component: lazyRouteComponent(code(() => import("@/features/webhooks/page"))),
    validateSearch: webhooksSearch,
  }),
  createRoute({ ...at("/workers"), component: lazyRouteComponent(code(() => import("@/features/workers/page"))) }),
  createRoute({
    ...at("/workspaces"),
    component: lazyRouteComponent(code(() => import("@/features/workspaces/page"))),
    validateSearch: workspacesSearch,
  }),
  createRoute({ ...at("/tokens"), component: lazyRouteComponent(code(() => import("@/features/tokens/page"))) }),
]);
