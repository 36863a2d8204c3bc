import { ChevronLeft, ChevronRight, Maximize2, ZoomIn, ZoomOut } from "lucide-react";
import { IconButton } from "@/ui/Button";

export interface ZoomButtonsProps {
  zoomed: boolean;
  onZoom: (closer: boolean) => void;
  onPan: (later: boolean) => void;
  onAll: () => void;
}

/** What wheel and keys do, for fingers. */
export function ZoomButtons({ zoomed, onZoom, onPan, onAll }: ZoomButtonsProps) {
  const all = !zoomed && "All of it is shown";
  return (
    <div role="group" aria-label="Zoom" className="flex flex-wrap items-center">
      <IconButton size="sm" label="Closer" onClick={() => { onZoom(true); }}>
        <ZoomIn size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Farther" off={all} onClick={() => { onZoom(false); }}>
        <ZoomOut size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Earlier" off={all} onClick={() => { onPan(false); }}>
        <ChevronLeft size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Later" off={all} onClick={() => { onPan(true); }}>
        <ChevronRight size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="All of it" off={all} onClick={onAll}>
        <Maximize2 size={14} aria-hidden />
      </IconButton>
    </div>
  );
}
