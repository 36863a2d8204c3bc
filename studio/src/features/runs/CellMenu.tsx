import { Ellipsis, ListFilter, ListX } from "lucide-react";
import type { ReactNode } from "react";
import { useState } from "react";
import type { RunStatus } from "@/api/types";
import type { Chip } from "@/model/filter";
import { isStatus } from "@/model/status";
import { Menu, MenuItem } from "@/ui/Menu";

export interface Narrowing {
  only: (chip: Chip) => void;
  /** The API leaves runs out by their status only. */
  without: (status: RunStatus) => void;
}

const BUTTON = "grid size-6 shrink-0 place-items-center rounded-sm text-muted opacity-0 group-hover/cell:opacity-100 hover:bg-hover focus-visible:opacity-100 aria-expanded:opacity-100 [@media(hover:none)]:hidden";

/** A cell with a menu: show only rows with the same value, or leave them out. Visible on hover and focus; on a phone, use the filter bar. */
export function CellMenu({ chip, narrowing, children }: { chip: Chip; narrowing: Narrowing; children: ReactNode }) {
  // Menus are expensive, and a table has hundreds of cells: each is created when it is opened.
  const [wanted, setWanted] = useState(false);
  const text = `${chip.qualifier ?? ""}:${chip.value}`;
  const button = (
    <button type="button" aria-label={`Filter by ${text}`} aria-haspopup="menu" className={BUTTON} onClick={wanted ? undefined : () => { setWanted(true); }}>
      <Ellipsis size={14} aria-hidden />
    </button>
  );
  return (
    <span className="group/cell inline-flex max-w-full items-center gap-1">
      <span className="inline-flex min-w-0 items-center truncate">{children}</span>
      {wanted ? (
        <Menu trigger={button} align="start" opened>
          <Items chip={chip} text={text} narrowing={narrowing} />
        </Menu>
      ) : (
        button
      )}
    </span>
  );
}

function Items({ chip, text, narrowing }: { chip: Chip; text: string; narrowing: Narrowing }) {
  const { qualifier, value } = chip;
  return (
    <>
      <MenuItem icon={<ListFilter size={14} aria-hidden />} onSelect={() => { narrowing.only(chip); }}>
        Only {text}
      </MenuItem>
      {qualifier === "status" && isStatus(value) && (
        <MenuItem icon={<ListX size={14} aria-hidden />} onSelect={() => { narrowing.without(value); }}>
          All but {text}
        </MenuItem>
      )}
    </>
  );
}
