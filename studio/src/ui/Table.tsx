import type { ColumnDef } from "@tanstack/react-table";
import { columnVisibilityFeature, rowSelectionFeature, tableFeatures, useTable } from "@tanstack/react-table";
import { useWindowVirtualizer } from "@tanstack/react-virtual";
import type { MouseEvent, ReactNode } from "react";
import { useMemo, useRef, useState } from "react";
import { cn } from "./cn";
import { density } from "./density";
import { toggled } from "./selection";

/** The server sorts, filters and pages: the table itself only hides columns and selects rows. */
const features = tableFeatures({ columnVisibilityFeature, rowSelectionFeature });
type Features = typeof features;

export interface Column<Row> {
  id: string;
  header: string;
  cell: (row: Row) => ReactNode;
  /** Of header and cells: alignment, width. */
  className?: string;
}

export interface TableProps<Row extends object> {
  /** What the rows are: "Runs". */
  label: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowId: (row: Row) => string;
  /** Ids of columns that aren't shown. */
  hidden?: readonly string[];
  /** Ids of selected rows; without it no boxes are shown. */
  selected?: ReadonlySet<string> | undefined;
  onSelect?: ((selected: Set<string>) => void) | undefined;
  /** The name of a row's box: "Select run 42 of invoice". */
  selectLabel?: (row: Row) => string;
  /** Called for a click in a row that hits no control. Keyboard users have the row's links. */
  onOpen?: ((row: Row, event: MouseEvent) => void) | undefined;
  /** The row with the keyboard's cursor, or the one shown in a panel. */
  current?: string | null | undefined;
  rowClass?: (row: Row) => string | undefined;
  /** Cells have two lines: rows are high, whatever the user's setting. */
  comfortable?: boolean;
}

/** Beyond this, only rows in view are in the document; below it, the browser's find sees all. */
const VIRTUAL_FROM = 200;

export function DataTable<Row extends object>(props: TableProps<Row>) {
  const { label, columns, rows, rowId, hidden = [], comfortable = false } = props;
  const defs = useMemo(
    () => columns.map((column): ColumnDef<Features, Row> => ({ id: column.id, header: column.header })),
    [columns],
  );
  const table = useTable({
    features,
    columns: defs,
    data: rows,
    getRowId: rowId,
    state: {
      columnVisibility: Object.fromEntries(hidden.map((id) => [id, false])),
      rowSelection: Object.fromEntries([...(props.selected ?? [])].map((id) => [id, true])),
    },
  });
  const byId = useMemo(() => new Map(columns.map((column) => [column.id, column])), [columns]);
  const shown = table.getRowModel().rows;
  const roomy = density.use() === "comfortable";
  const height = roomy ? 44 : comfortable ? 36 : 32;
  const body = useRef<HTMLTableSectionElement>(null);
  const virtual = useWindow(shown.length, height, body);
  const anchor = useAnchor();
  const order = shown.map((row) => row.id);
  const select = (id: string, shift: boolean) => {
    props.onSelect?.(toggled(props.selected ?? new Set(), order, id, anchor.get(), shift));
    anchor.set(id);
  };
  return (
    <div role="region" aria-label={label} tabIndex={0} className="relative overflow-x-auto">
      <table className="w-full border-collapse text-left" aria-rowcount={virtual ? shown.length + 1 : undefined}>
        <caption className="sr-only">{label}</caption>
        <thead>
          <tr aria-rowindex={virtual ? 1 : undefined}>
            {props.selected && (
              <th scope="col" className="w-8 border-b py-1.5 pl-2">
                <SelectAll rows={order} selected={props.selected} onSelect={props.onSelect} />
              </th>
            )}
            {table.getHeaderGroups().flatMap((group) => group.headers).map((header) => (
              <th key={header.id} scope="col" className={cn("border-b px-2 py-1.5 text-xs font-medium whitespace-nowrap text-muted", byId.get(header.column.id)?.className)}>
                <table.FlexRender header={header} />
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={body}>
          {virtual && <Gap height={virtual.before} />}
          {(virtual ? shown.slice(virtual.from, virtual.to) : shown).map((row, at) => (
            <tr
              key={row.id}
              aria-rowindex={virtual ? virtual.from + at + 2 : undefined}
              aria-current={row.id === props.current || undefined}
              data-row={row.id}
              style={{ height }}
              className={cn("border-b border-line/60 hover:bg-hover aria-[current]:bg-hover", props.onOpen && "cursor-pointer", props.rowClass?.(row.original))}
              onClick={props.onOpen && ((event) => { if (!hitsControl(event)) props.onOpen?.(row.original, event); })}
            >
              {props.selected && (
                <td className="pl-2">
                  <Box
                    label={props.selectLabel?.(row.original) ?? `Select ${row.id}`}
                    checked={props.selected.has(row.id)}
                    onToggle={(shift) => { select(row.id, shift); }}
                  />
                </td>
              )}
              {row.getVisibleCells().map((cell) => (
                <td key={cell.id} className={cn("px-2 align-middle", roomy ? "py-2" : "py-0.5", byId.get(cell.column.id)?.className)}>
                  {/* Called, not rendered as a component: new columns would be new components, and an open menu in a cell would close. */}
                  {byId.get(cell.column.id)?.cell(row.original)}
                </td>
              ))}
            </tr>
          ))}
          {virtual && <Gap height={virtual.after} />}
        </tbody>
      </table>
    </div>
  );
}

interface Window {
  from: number;
  to: number;
  before: number;
  after: number;
}

/** The rows in view of a long table; null for a short one. */
function useWindow(count: number, height: number, body: React.RefObject<HTMLTableSectionElement | null>): Window | null {
  const virtualizer = useWindowVirtualizer({
    count,
    enabled: count > VIRTUAL_FROM,
    estimateSize: () => height,
    overscan: 12,
    scrollMargin: count > VIRTUAL_FROM && body.current ? body.current.getBoundingClientRect().top + window.scrollY : 0,
  });
  const items = virtualizer.getVirtualItems();
  const first = items[0];
  const last = items.at(-1);
  if (count <= VIRTUAL_FROM || !first || !last) return count <= VIRTUAL_FROM ? null : { from: 0, to: 40, before: 0, after: (count - 40) * height };
  return { from: first.index, to: last.index + 1, before: first.index * height, after: (count - last.index - 1) * height };
}

function Gap({ height }: { height: number }) {
  return height > 0 ? (
    <tr aria-hidden>
      <td style={{ height, padding: 0 }} />
    </tr>
  ) : null;
}

function useAnchor() {
  const [anchor, set] = useState<string | null>(null);
  return { get: () => anchor, set };
}

function SelectAll({ rows, selected, onSelect }: { rows: readonly string[]; selected: ReadonlySet<string>; onSelect: ((selected: Set<string>) => void) | undefined }) {
  const count = rows.filter((id) => selected.has(id)).length;
  const all = count > 0 && count === rows.length;
  return (
    <Box
      label="Select all rows shown"
      checked={all}
      some={count > 0 && !all}
      onToggle={() => onSelect?.(all ? new Set() : new Set([...selected, ...rows]))}
    />
  );
}

function Box({ label, checked, some = false, onToggle }: { label: string; checked: boolean; some?: boolean; onToggle: (shift: boolean) => void }) {
  return (
    <label className="grid size-6 place-items-center">
      <input
        type="checkbox"
        aria-label={label}
        className="size-4 accent-accent"
        checked={checked}
        ref={(box) => { if (box) box.indeterminate = some; }}
        onChange={(event) => { onToggle((event.nativeEvent as globalThis.MouseEvent).shiftKey); }}
      />
    </label>
  );
}

/** True if a click belongs to something in the row, or ends a selection of text. */
function hitsControl(event: MouseEvent): boolean {
  const target = event.target as Element;
  return target.closest("a,button,input,label,select,summary,[role=menuitem]") !== null || window.getSelection()?.type === "Range";
}
