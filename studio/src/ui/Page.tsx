import type { ReactNode } from "react";
import { useEffect } from "react";
import { cn } from "./cn";
import { setPageTitle } from "./title";

export interface PageHeaderProps {
  title: ReactNode;
  /** The title of the browser's tab, if `title` isn't plain text. */
  tabTitle?: string;
  description?: ReactNode;
  actions?: ReactNode;
  /** Shown above the title: what the page is part of. */
  trail?: ReactNode;
}

export function PageHeader({ title, tabTitle, description, actions, trail }: PageHeaderProps) {
  const name = tabTitle ?? (typeof title === "string" ? title : "");
  useEffect(() => {
    setPageTitle(name);
  }, [name]);
  return (
    <header className="mb-4 flex flex-wrap items-start justify-between gap-x-4 gap-y-2">
      <div className="min-w-0 grow basis-64">
        {trail && <div className="text-muted">{trail}</div>}
        <h1 className="wrap-anywhere">{title}</h1>
        {description && <div className="max-w-prose text-muted">{description}</div>}
      </div>
      {actions && <div className="flex flex-wrap gap-2">{actions}</div>}
    </header>
  );
}

/** A titled part of a page. */
export function Section({ title, actions, children, className }: { title: ReactNode; actions?: ReactNode; children: ReactNode; className?: string }) {
  return (
    <section className={cn("mb-6", className)}>
      <div className="mb-2 flex flex-wrap items-baseline justify-between gap-x-3">
        <h2>{title}</h2>
        {actions}
      </div>
      {children}
    </section>
  );
}

export function Card({ children, className }: { children: ReactNode; className?: string }) {
  return <div className={cn("min-w-0 rounded-md border bg-surface p-3", className)}>{children}</div>;
}

/** Names and values in two columns. */
export function Facts({ facts }: { facts: readonly (readonly [name: ReactNode, value: ReactNode] | false | null)[] }) {
  return (
    <dl className="grid grid-cols-[minmax(6rem,auto)_minmax(0,1fr)] gap-x-4 gap-y-1">
      {facts.map((fact, at) =>
        fact && fact[1] !== null && fact[1] !== undefined && fact[1] !== false && fact[1] !== "" ? (
          <div key={at} className="contents">
            <dt className="text-muted">{fact[0]}</dt>
            <dd className="wrap-anywhere">{fact[1]}</dd>
          </div>
        ) : null,
      )}
    </dl>
  );
}
