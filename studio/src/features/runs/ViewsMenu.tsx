import { Bookmark, Plus, Settings2 } from "lucide-react";
import { useState } from "react";
import { Button } from "@/ui/Button";
import { Dialog } from "@/ui/Dialog";
import { Field, Input } from "@/ui/fields";
import { Menu, MenuCheck, MenuItem, MenuLine, MenuTitle } from "@/ui/Menu";
import type { View } from "./views";
import { useViews, withView } from "./views";

const WHERE = "Stored in this browser only; to share one, send its address.";

/** Named filters and columns. `search`: the current query string. */
export function ViewsMenu({ search, onOpen }: { search: string; onOpen: (search: string) => void }) {
  const [views, setViews] = useViews();
  const [asked, setAsked] = useState<"save" | "remove" | null>(null);
  const current = views.find((view) => view.search === search);
  return (
    <>
      <Menu trigger={<Button icon={<Bookmark size={14} aria-hidden />}>{current ? current.name : "Views"}</Button>}>
        <MenuTitle>{views.length === 0 ? "No view is saved yet" : "Saved views"}</MenuTitle>
        {views.map((view) => (
          <MenuCheck key={view.name} checked={view === current} closes onChange={() => { onOpen(view.search); }}>
            {view.name}
          </MenuCheck>
        ))}
        <MenuLine />
        <MenuItem icon={<Plus size={14} aria-hidden />} off={current && `It is saved as ${current.name}.`} onSelect={() => { setAsked("save"); }}>
          Save this view…
        </MenuItem>
        {views.length > 0 && (
          <MenuItem icon={<Settings2 size={14} aria-hidden />} onSelect={() => { setAsked("remove"); }}>
            Remove views…
          </MenuItem>
        )}
      </Menu>
      {asked === "save" && <SaveDialog views={views} onSave={(name) => { setViews(withView(views, { name, search })); }} onClose={() => { setAsked(null); }} />}
      {asked === "remove" && <RemoveDialog views={views} onRemove={(view) => { setViews(views.filter((one) => one !== view)); }} onClose={() => { setAsked(null); }} />}
    </>
  );
}

function SaveDialog({ views, onSave, onClose }: { views: readonly View[]; onSave: (name: string) => void; onClose: () => void }) {
  const [typed, setTyped] = useState("");
  const name = typed.trim();
  const known = views.some((view) => view.name === name);
  return (
    <Dialog open onOpenChange={onClose} title="Save this view" description={WHERE}>
      <form
        className="flex flex-col gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          if (name === "") return;
          onSave(name);
          onClose();
        }}
      >
        <Field label="Name" help={known ? "A view of this name exists: it will be replaced." : "Its filter and its columns are saved."}>
          {(props) => <Input {...props} maxLength={60} value={typed} onChange={(event) => { setTyped(event.target.value); }} />}
        </Field>
        <div className="flex justify-end gap-2">
          <Button onClick={onClose}>Don't save</Button>
          <Button type="submit" variant="primary" off={name === "" && "It needs a name."}>
            {known ? "Replace it" : "Save"}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function RemoveDialog({ views, onRemove, onClose }: { views: readonly View[]; onRemove: (view: View) => void; onClose: () => void }) {
  return (
    <Dialog open onOpenChange={onClose} title="Saved views" description={WHERE}>
      {views.length === 0 && <p className="text-muted">No view is left.</p>}
      <ul aria-label="Saved views" className="divide-y">
        {views.map((view) => (
          <li key={view.name} className="flex items-center gap-2 py-1">
            <span className="min-w-0 grow">
              <span className="block wrap-anywhere">{view.name}</span>
              <code className="block truncate text-xs text-muted">{view.search || "all runs"}</code>
            </span>
            <Button size="sm" aria-label={`Remove ${view.name}`} onClick={() => { onRemove(view); }}>
              Remove
            </Button>
          </li>
        ))}
      </ul>
    </Dialog>
  );
}
