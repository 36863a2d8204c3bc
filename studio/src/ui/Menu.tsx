import { Check } from "lucide-react";
import { DropdownMenu as Radix } from "radix-ui";
import type { ReactElement, ReactNode } from "react";
import { useState } from "react";
import { cn } from "./cn";

const ITEM =
  "flex min-h-8 items-center gap-2 rounded-sm px-2 outline-none select-none data-highlighted:bg-hover data-disabled:opacity-60 [&>svg]:text-muted";

/** A menu that opens from `trigger`, a button; `opened`: it is open initially. */
export function Menu({ trigger, children, align = "end", opened = false }: { trigger: ReactElement; children: ReactNode; align?: "start" | "end"; opened?: boolean }) {
  // Inside a landmark, like all content; determined at each opening, and kept while it is open.
  const [landmark, setLandmark] = useState(() => (opened ? document.querySelector("main") : null));
  return (
    <Radix.Root modal={false} defaultOpen={opened} onOpenChange={(open) => { if (open) setLandmark(document.querySelector("main")); }}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal container={landmark}>
        <Radix.Content align={align} sideOffset={4} collisionPadding={8} className="z-50 max-h-[70vh] min-w-44 overflow-y-auto rounded-md bg-surface p-1 shadow-overlay">
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  );
}

export interface MenuItemProps {
  children: ReactNode;
  onSelect: () => void;
  icon?: ReactNode;
  danger?: boolean;
  shortcut?: string | undefined;
  /** Why it can't be chosen now; it stays visible and shows the reason. */
  off?: string | false | null | undefined;
}

export function MenuItem({ children, onSelect, icon, danger = false, shortcut, off }: MenuItemProps) {
  return (
    <Radix.Item disabled={Boolean(off)} onSelect={onSelect} className={cn(ITEM, danger && "text-failed")}>
      {icon}
      <span className="grow">
        {children}
        {off && <span className="block text-xs text-muted">{off}</span>}
      </span>
      {shortcut && <kbd className="text-muted">{shortcut}</kbd>}
    </Radix.Item>
  );
}

/** One of several of which exactly one is chosen. */
export function MenuChoice<Value extends string>({ value, options, onChange, label }: {
  value: Value;
  options: readonly { value: Value; label: string }[];
  onChange: (value: Value) => void;
  label: string;
}) {
  return (
    <Radix.RadioGroup aria-label={label} value={value} onValueChange={(chosen) => { onChange(chosen as Value); }}>
      {options.map((option) => (
        <Radix.RadioItem key={option.value} value={option.value} className={ITEM}>
          <span className="grid size-4 place-items-center">
            <Radix.ItemIndicator>
              <Check size={14} aria-hidden />
            </Radix.ItemIndicator>
          </span>
          {option.label}
        </Radix.RadioItem>
      ))}
    </Radix.RadioGroup>
  );
}

/** `closes`: choosing it closes the menu. */
export function MenuCheck({ checked, onChange, closes = false, children }: { checked: boolean; onChange: (checked: boolean) => void; closes?: boolean; children: ReactNode }) {
  return (
    <Radix.CheckboxItem checked={checked} onCheckedChange={onChange} onSelect={(event) => { if (!closes) event.preventDefault(); }} className={ITEM}>
      <span className="grid size-4 place-items-center">
        <Radix.ItemIndicator>
          <Check size={14} aria-hidden />
        </Radix.ItemIndicator>
      </span>
      {children}
    </Radix.CheckboxItem>
  );
}

export const MenuLine = () => <Radix.Separator className="my-1 h-px bg-line" />;
export const MenuTitle = ({ children }: { children: ReactNode }) => <Radix.Label className="px-2 py-1 text-xs text-muted">{children}</Radix.Label>;
