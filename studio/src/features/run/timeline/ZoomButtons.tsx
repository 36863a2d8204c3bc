import { ChevronLeft, ChevronRight, Maximize2, ZoomIn, ZoomOut } from "lucide-react";
import { IconButton } from "@/ui/Button";

export interface ZoomButtonsProps {
  zoomed: boolean;
  onZoom: (closer: boolean) => void;
  onPan: (later: boolean) => void;
  onAll: () => void;
}

/** The actions of the wheel and the keys as buttons, for touch screens. */
export function ZoomButtons({ zoomed, onZoom, onPan, onAll }: ZoomButtonsProps) {
  const all = !zoomed && "The whole timeline is shown";
  return (
    <div role="group" aria-label="Zoom" className="flex flex-wrap items-center">
      <IconButton size="sm" label="Zoom in" onClick={() => { onZoom(true); }}>
        <ZoomIn size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Zoom out" off={all} onClick={() => { onZoom(false); }}>
        <ZoomOut size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Earlier" off={all} onClick={() => { onPan(false); }}>
        <ChevronLeft size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Later" off={all} onClick={() => { onPan(true); }}>
        <ChevronRight size={14} aria-hidden />
      </IconButton>
      <IconButton size="sm" label="Show all" off={all} onClick={onAll}>
        <Maximize2 size={14} aria-hidden />
      </IconButton>
    </div>
  );
}
