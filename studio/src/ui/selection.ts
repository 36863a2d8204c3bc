/** The selection after a click on the box of `id`; with shift, everything between it and `anchor` gets the same state. */
export function toggled(
  selected: ReadonlySet<string>,
  order: readonly string[],
  id: string,
  anchor: string | null,
  shift: boolean,
): Set<string> {
  const next = new Set(selected);
  const on = !selected.has(id);
  for (const one of shift ? between(order, anchor ?? id, id) : [id]) {
    if (on) next.add(one);
    else next.delete(one);
  }
  return next;
}

function between(order: readonly string[], a: string, b: string): readonly string[] {
  const from = order.indexOf(a);
  const to = order.indexOf(b);
  return from < 0 || to < 0 ? [b] : order.slice(Math.min(from, to), Math.max(from, to) + 1);
}
