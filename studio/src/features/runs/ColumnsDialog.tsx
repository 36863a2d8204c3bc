import { ArrowDown, ArrowUp } from "lucide-react";
import type { Run } from "@/api/types";
import { Button, IconButton } from "@/ui/Button";
import { density } from "@/ui/density";
import { Dialog } from "@/ui/Dialog";
import { Checkbox } from "@/ui/fields";
import type { Column } from "@/ui/Table";
import type { ColumnId } from "./arrangement";
import { USUAL, columnsIn, moved, shownOrNot } from "./arrangement";

export interface ColumnsDialogProps {
  columns: readonly Column<Run>[];
  shown: readonly ColumnId[];
  onChange: (shown: readonly ColumnId[]) => void;
  onClose: () => void;
}

/** Which columns are shown, in which order, and how high the rows are. What is chosen holds at once. */
export function ColumnsDialog({ columns, shown, onChange, onClose }: ColumnsDialogProps) {
  const headerOf = (id: ColumnId) => columns.find((column) => column.id === id)?.header ?? id;
  const others = columns.map((column) => column.id as ColumnId).filter((id) => !shown.includes(id));
  const roomy = density.use() === "comfortable";
  return (
    <Dialog
      sheet
      open
      onOpenChange={onClose}
      title="Columns"
      description="Stored in this browser and in the address: a link shows the same table."
      footer={<Button off={shown.join(",") === USUAL ? "These are the default columns." : null} onClick={() => { onChange(columnsIn(USUAL) ?? []); }}>Reset</Button>}
    >
      <ol aria-label="Shown columns" className="flex flex-col">
        {shown.map((id, at) => (
          <li key={id} className="flex min-h-8 items-center gap-1">
            <Checkbox className="grow" label={headerOf(id)} checked onChange={() => { onChange(shownOrNot(shown, id, false)); }} />
            <IconButton size="sm" label={`${headerOf(id)} earlier`} off={at === 0 && "It is the first."} onClick={() => { onChange(moved(shown, id, -1)); }}>
              <ArrowUp size={14} aria-hidden />
            </IconButton>
            <IconButton size="sm" label={`${headerOf(id)} later`} off={at === shown.length - 1 && "It is the last."} onClick={() => { onChange(moved(shown, id, 1)); }}>
              <ArrowDown size={14} aria-hidden />
            </IconButton>
          </li>
        ))}
      </ol>
      {others.length > 0 && (
        <>
          <h3 className="mt-3">Not shown</h3>
          <ul aria-label="Columns that aren't shown" className="flex flex-col">
            {others.map((id) => (
              <li key={id} className="flex min-h-8 items-center">
                <Checkbox label={headerOf(id)} checked={false} onChange={() => { onChange(shownOrNot(shown, id, true)); }} />
              </li>
            ))}
          </ul>
        </>
      )}
      <h3 className="mt-3">Rows</h3>
      <Checkbox label="Taller rows, in all tables" checked={roomy} onChange={() => { density.set(roomy ? "compact" : "comfortable"); }} />
    </Dialog>
  );
}
