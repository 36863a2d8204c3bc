import { Outlet, useLocation } from "@tanstack/react-router";
import { ChevronsLeft, ChevronsRight } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { Me } from "@/api/types";
import { IconButton } from "@/ui/Button";
import { cn } from "@/ui/cn";
import { Dialog } from "@/ui/Dialog";
import { Pane } from "@/ui/Pane";
import { useShortcuts } from "@/ui/shortcuts";
import { Toasts } from "@/ui/Toast";
import { Header } from "./Header";
import { Help } from "./Help";
import { Nav } from "./Nav";
import { Palette } from "./palette/Palette";
import { Session } from "./Session";
import { useStored } from "./useStored";

export function Shell() {
  return <Session>{(me) => <Frame me={me} />}</Session>;
}

function Frame({ me }: { me: Me }) {
  const [nav, setNav] = useState(false);
  const [help, setHelp] = useState(false);
  const [search, setSearch] = useState(false);
  const [narrow, setNarrow] = useStored("stepwell.nav", false);
  const main = useMainFocus();
  useSearchKey(() => { setSearch(true); });
  useShortcuts([{ key: "?", label: "Show these shortcuts", run: () => { setHelp(true); } }]);
  return (
    <div className="min-h-dvh">
      <button type="button" className="sr-only focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50 focus:bg-surface focus:px-3 focus:py-2" onClick={() => main.current?.focus()}>
        Skip to the page
      </button>
      <Header me={me} onNav={() => { setNav(true); }} onSearch={() => { setSearch(true); }} onHelp={() => { setHelp(true); }} />
      <div className="lg:flex">
        <div className={cn("sticky top-12 hidden h-[calc(100dvh-3rem)] shrink-0 flex-col overflow-y-auto border-r bg-subtle lg:flex", narrow ? "w-14" : "w-50")}>
          <Nav me={me} narrow={narrow} />
          <div className="mt-auto p-2">
            <IconButton label={narrow ? "Widen the navigation" : "Narrow the navigation"} onClick={() => { setNarrow(!narrow); }}>
              {narrow ? <ChevronsRight size={16} aria-hidden /> : <ChevronsLeft size={16} aria-hidden />}
            </IconButton>
          </div>
        </div>
        <main ref={main} tabIndex={-1} className="min-w-0 grow p-3 outline-none sm:p-5">
          <Page />
        </main>
      </div>
      <Dialog open={nav} onOpenChange={setNav} title="Pages" sheet>
        <Nav me={me} onGo={() => { setNav(false); }} />
      </Dialog>
      <Help open={help} onOpenChange={setHelp} />
      {/* Not lazy: the user types immediately after pressing the key. */}
      {search && <Palette me={me} onClose={() => { setSearch(false); }} />}
      <Toasts />
    </div>
  );
}

/** The page of the address; its errors are contained, and reset when the address changes. */
function Page() {
  const path = useLocation({ select: (location) => location.pathname });
  return (
    <Pane name="This page" resetKey={path}>
      <Outlet />
    </Pane>
  );
}

/** Moves the focus to a new page: screen readers announce it, and Tab continues inside it. */
function useMainFocus() {
  const main = useRef<HTMLElement>(null);
  const path = useLocation({ select: (location) => location.pathname });
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    main.current?.focus({ preventScroll: true });
  }, [path]);
  return main;
}

function useSearchKey(open: () => void) {
  const latest = useRef(open);
  useEffect(() => {
    latest.current = open;
  });
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
      event.preventDefault();
      latest.current();
    };
    document.addEventListener("keydown", press);
    return () => { document.removeEventListener("keydown", press); };
  }, []);
}
