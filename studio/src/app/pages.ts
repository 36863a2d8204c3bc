import type { LucideIcon } from "lucide-react";
import { Boxes, CalendarClock, Gauge, House, Inbox, KeyRound, Layers, ListTree, Server, Webhook, Workflow } from "lucide-react";
import type { Me } from "@/api/types";

export interface PageLink {
  to:
    | "/"
    | "/waiting"
    | "/runs"
    | "/batches"
    | "/workflows"
    | "/limits"
    | "/schedules"
    | "/webhooks"
    | "/workers"
    | "/workspaces"
    | "/tokens";
  name: string;
  icon: LucideIcon;
  /** The page shows all users' runs: it is hidden from people who may see only their own. */
  everybody?: true;
}

const PAGES: readonly PageLink[] = [
  { to: "/", name: "Home", icon: House },
  { to: "/waiting", name: "Waiting for you", icon: Inbox },
  { to: "/runs", name: "Runs", icon: ListTree },
  { to: "/batches", name: "Batches", icon: Layers },
  { to: "/workflows", name: "Workflows", icon: Workflow },
  { to: "/limits", name: "Limits", icon: Gauge, everybody: true },
  { to: "/schedules", name: "Schedules", icon: CalendarClock },
  { to: "/webhooks", name: "Webhooks", icon: Webhook, everybody: true },
  { to: "/workers", name: "Workers", icon: Server, everybody: true },
  { to: "/workspaces", name: "Workspaces", icon: Boxes },
  { to: "/tokens", name: "Tokens", icon: KeyRound },
];

/** The pages that `me` may open. */
export function pagesFor(me: Pick<Me, "everybody">): readonly PageLink[] {
  return PAGES.filter((page) => !page.everybody || me.everybody);
}
