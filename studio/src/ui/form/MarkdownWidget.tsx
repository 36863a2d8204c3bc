import type { WidgetProps } from "@rjsf/utils";
import { useState } from "react";
import { Markdown } from "../Markdown";
import { TabPanel, Tabs } from "../Tabs";
import { TextareaWidget } from "./widgets";

const TABS = [
  { value: "write", label: "Write" },
  { value: "preview", label: "Preview" },
] as const;

/** An editor for Markdown, with a preview. */
export function MarkdownWidget(props: WidgetProps) {
  const [view, setView] = useState<"write" | "preview">("write");
  const { value, label } = props;
  const text = typeof value === "string" ? value : "";
  return (
    <Tabs value={view} onChange={setView} tabs={TABS} label={`${label}: write or preview`}>
      <TabPanel value="write" className="pt-2">
        <TextareaWidget {...props} />
      </TabPanel>
      <TabPanel value="preview" className="min-h-24 rounded-sm border px-3 py-2">
        {text.trim() === "" ? <p className="text-muted">There is nothing to preview yet.</p> : <Markdown text={text} />}
      </TabPanel>
    </Tabs>
  );
}
