import { Dialog } from "@/ui/Dialog";
import { shortcutsOn, useShortcutList } from "@/ui/shortcuts";

const MOD = navigator.platform.startsWith("Mac") ? "⌘" : "Ctrl";

const EVERYWHERE = [
  [`${MOD} K`, "Search pages, workflows and runs"],
  [`${MOD} Enter`, "Send the form"],
  ["Esc", "Close what is open"],
] as const;

/** The keys that work on this page. */
export function Help({ open, onOpenChange }: { open: boolean; onOpenChange: (open: boolean) => void }) {
  const page = useShortcutList();
  return (
    <Dialog open={open} onOpenChange={onOpenChange} title="Keyboard shortcuts" description={shortcutsOn() ? undefined : "Single keys are turned off; the account menu turns them on."}>
      <Keys title="On this page" keys={page.map(({ key, label }) => [key === " " ? "Space" : key, label] as const)} />
      <Keys title="Everywhere" keys={EVERYWHERE} />
    </Dialog>
  );
}

function Keys({ title, keys }: { title: string; keys: readonly (readonly [string, string])[] }) {
  return (
    <section className="mb-4">
      <h3 className="mb-1">{title}</h3>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
        {keys.map(([key, label]) => (
          <div key={`${key} ${label}`} className="contents">
            <dt>
              <kbd className="rounded-sm border bg-subtle px-1.5 py-0.5">{key}</kbd>
            </dt>
            <dd>{label}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
