import { Tabs as Radix } from "radix-ui";
import type { ReactNode } from "react";

export interface TabsProps<Value extends string> {
  value: Value;
  onChange: (value: Value) => void;
  tabs: readonly { value: Value; label: string; count?: number | undefined }[];
  /** The accessible name of the list of tabs. */
  label: string;
  /** TabPanels, one per tab. */
  children: ReactNode;
  className?: string;
}

export function Tabs<Value extends string>({ value, onChange, tabs, label, children, className }: TabsProps<Value>) {
  return (
    <Radix.Root value={value} onValueChange={(chosen) => { onChange(chosen as Value); }} className={className}>
      <Radix.List aria-label={label} className="flex gap-1 overflow-x-auto border-b">
        {tabs.map((tab) => (
          <Radix.Trigger
            key={tab.value}
            value={tab.value}
            data-inset-focus
            className="-mb-px min-h-9 border-b-2 border-transparent px-3 font-medium whitespace-nowrap text-muted hover:text-ink data-[state=active]:border-accent data-[state=active]:text-ink"
          >
            {tab.label}
            {tab.count !== undefined && <span className="ml-1.5 text-xs text-muted">{tab.count}</span>}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {children}
    </Radix.Root>
  );
}

export function TabPanel({ value, children, className }: { value: string; children: ReactNode; className?: string }) {
  return (
    <Radix.Content value={value} className={className ?? "pt-4"}>
      {children}
    </Radix.Content>
  );
}
