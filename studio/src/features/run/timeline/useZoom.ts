import { useEffect, useRef, useState } from "react";
import { moment } from "@/model/time";
import { type Range, rangeOf, rangeText } from "@/model/zoom";
import { useRunPage } from "../data";

/** The delay before a change is written to the address: browsers limit how often it may change. */
const SETTLED = 250;

/** The part of the timeline on screen, as the address says it; null: all of it. */
export function useZoom(): [Range | null, (range: Range | null) => void] {
  const { run, search, setSearch } = useRunPage();
  const began = moment(run.created_at);
  const [written, setWritten] = useState(search.zoom);
  const [range, setRange] = useState(() => rangeOf(search.zoom, began));
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  if (written !== search.zoom) {
    // The user went back or followed a link; what this hook wrote itself is the same range.
    setWritten(search.zoom);
    if (search.zoom !== rangeText(range, began)) setRange(rangeOf(search.zoom, began));
  }
  useEffect(() => () => { clearTimeout(timer.current); }, []);
  const change = (next: Range | null) => {
    setRange(next);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => { setSearch({ zoom: rangeText(next, began) }); }, SETTLED);
  };
  return [range, change];
}
