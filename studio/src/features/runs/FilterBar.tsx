import { X } from "lucide-react";
import type { KeyboardEvent, Ref } from "react";
import { useId, useState } from "react";
import type { RunFilter } from "@/api/types";
import type { Chip } from "@/model/filter";
import { QUALIFIERS, chipsOf, filterText, parseFilter, suggestions, withChip, withoutChip } from "@/model/filter";
import { Button } from "@/ui/Button";
import { Input } from "@/ui/fields";

export interface FilterBarProps {
  filter: RunFilter;
  onChange: (filter: RunFilter) => void;
  /** True while the rows of this filter are on their way. */
  busy: boolean;
  input: Ref<HTMLInputElement>;
}

/** The filter as chips, and a line that makes more of them: `status:failed workflow:order some words`. */
export function FilterBar({ filter, onChange, busy, input }: FilterBarProps) {
  const chips = chipsOf(filter);
  const [text, setText] = useState("");
  const [problems, setProblems] = useState<readonly string[]>([]);
  const apply = (next: readonly Chip[]) => { onChange(parseFilter(filterText(next)).filter); };
  const commit = (typed: string) => {
    const parsed = parseFilter(typed);
    setProblems(parsed.problems);
    setText(parsed.problems.length > 0 ? typed : "");
    if (parsed.chips.length > 0) apply(parsed.chips.reduce(withChip, chips));
  };
  const takeBack = () => {
    const last = chips.at(-1);
    if (!last) return;
    setText(filterText([last]));
    apply(withoutChip(chips, last));
  };
  return (
    <div className="mb-3">
      <form
        role="search"
        aria-label="Filter runs"
        aria-busy={busy}
        className="flex flex-wrap items-center gap-1.5"
        onSubmit={(event) => {
          event.preventDefault();
          commit(text);
        }}
      >
        {chips.map((chip) => (
          <ChipButton key={filterText([chip])} chip={chip} onRemove={() => { apply(withoutChip(chips, chip)); }} />
        ))}
        <Typed text={text} onType={setText} onTakeBack={takeBack} onCommit={commit} input={input} />
        {chips.length > 0 && (
          <Button size="sm" variant="ghost" onClick={() => { onChange({}); }}>
            Clear
          </Button>
        )}
        <span role="status" className={busy ? "text-xs text-muted" : "sr-only"}>
          {busy && "Filtering…"}
        </span>
      </form>
      {problems.length > 0 && (
        <ul role="alert" className="mt-1 text-xs text-failed">
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function ChipButton({ chip, onRemove }: { chip: Chip; onRemove: () => void }) {
  const text = filterText([chip]);
  return (
    <button type="button" aria-label={`Remove ${text}`} className="inline-flex min-h-7 max-w-full items-center gap-1 rounded-sm border border-accent bg-subtle px-2 text-xs text-ink hover:bg-hover" onClick={onRemove}>
      {chip.qualifier && <span className="text-muted">{chip.qualifier}:</span>}
      <span className="truncate">{chip.value}</span>
      <X size={12} aria-hidden />
    </button>
  );
}

interface TypedProps {
  text: string;
  onType: (text: string) => void;
  onTakeBack: () => void;
  onCommit: (text: string) => void;
  input: Ref<HTMLInputElement>;
}

/** A line with what its last word may become. */
function Typed({ text, onType, onTakeBack, onCommit, input }: TypedProps) {
  const [open, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const list = useId();
  const offered = open ? suggestions(text) : [];
  const take = (word: string) => {
    const whole = text.replace(/[^\s]*$/, word);
    setAt(-1);
    if (word.endsWith(":")) onType(whole);
    else onCommit(whole);
  };
  const onKeyDown = (event: KeyboardEvent<HTMLInputElement>) => {
    const chosen = offered[at];
    if (event.key === "Backspace" && text === "") onTakeBack();
    else if (event.key === "ArrowDown" && offered.length > 0) setAt((at + 1) % offered.length);
    else if (event.key === "ArrowUp" && offered.length > 0) setAt((at + offered.length - (at < 0 ? 0 : 1)) % offered.length);
    else if ((event.key === "Enter" || event.key === "Tab") && chosen !== undefined) take(chosen);
    else if (event.key === "Escape" && offered.length > 0) setOpen(false);
    else return;
    if (event.key !== "Backspace") event.preventDefault();
  };
  return (
    <div className="relative min-w-48 grow">
      <Input
        ref={input}
        role="combobox"
        aria-label="Filter"
        aria-expanded={offered.length > 0}
        aria-controls={list}
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 ? `${list}-${String(at)}` : undefined}
        autoComplete="off"
        spellCheck={false}
        placeholder={`${QUALIFIERS.slice(0, 3).map((one) => one.example).join("  ")}  some words`}
        value={text}
        onFocus={() => { setOpen(true); }}
        onBlur={() => { setOpen(false); }}
        onKeyDown={onKeyDown}
        onChange={(event) => {
          setOpen(true);
          setAt(-1);
          onType(event.target.value);
        }}
      />
      <ul id={list} role="listbox" aria-label="Suggestions" className={offered.length > 0 ? "absolute z-30 mt-1 min-w-60 rounded-md bg-surface p-1 shadow-overlay" : "hidden"}>
        {offered.map((word, index) => (
          <li
            key={word}
            id={`${list}-${String(index)}`}
            role="option"
            aria-selected={index === at}
            className="min-h-7 cursor-pointer rounded-sm px-2 py-1 hover:bg-hover aria-selected:bg-hover"
            onMouseDown={(event) => {
              event.preventDefault(); // the line keeps the focus
              take(word);
            }}
          >
            <code>{word}</code> <span className="text-xs text-muted">{QUALIFIERS.find((one) => `${one.name}:` === word)?.help}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}
