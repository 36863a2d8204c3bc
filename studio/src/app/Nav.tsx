import { Link } from "@tanstack/react-router";
import { useEffect } from "react";
import type { Me } from "@/api/types";
import { useInbox } from "@/blocks/inbox";
import { cn } from "@/ui/cn";
import { setWaitingTitle } from "@/ui/title";
import { pagesFor } from "./pages";

const LINK = "flex min-h-8 items-center gap-2.5 rounded-sm px-2.5 text-ink no-underline hover:bg-hover";

export function Nav({ me, narrow = false, onGo }: { me: Me; narrow?: boolean; onGo?: () => void }) {
  const count = useWaitingCount();
  return (
    <nav aria-label="Pages">
      <ul className="flex flex-col gap-0.5 p-2">
        {pagesFor(me).map((page) => (
          <li key={page.to}>
            <Link
              to={page.to}
              activeOptions={{ exact: page.to === "/", includeSearch: false }}
              activeProps={{ className: "bg-hover font-semibold" }}
              className={cn(LINK, narrow && "justify-center px-0")}
              title={narrow ? page.name : undefined}
              {...(onGo ? { onClick: onGo } : {})}
            >
              <page.icon size={16} aria-hidden className="shrink-0 text-muted" />
              <span className={cn("whitespace-nowrap", narrow && "sr-only")}>{page.name}</span>
              {page.to === "/waiting" && count && <Count count={count} narrow={narrow} />}
            </Link>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Count({ count, narrow }: { count: string; narrow: boolean }) {
  return (
    <span className={cn("rounded-full bg-human px-1 text-xs font-medium text-surface", narrow ? "-ml-1" : "ml-auto")}>
      {count}
      <span className="sr-only"> waiting</span>
    </span>
  );
}

/** "3", or "50+" if more are waiting than were fetched; null for none. */
function useWaitingCount(): string | null {
  const { items, more } = useInbox();
  const count = items.length > 0 ? `${String(items.length)}${more ? "+" : ""}` : null;
  useEffect(() => {
    setWaitingTitle(count ?? "");
  }, [count]);
  return count;
}
