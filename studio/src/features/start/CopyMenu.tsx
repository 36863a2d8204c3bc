import { ChevronDown } from "lucide-react";
import { Button } from "@/ui/Button";
import { copyText } from "@/ui/Copy";
import { Menu, MenuItem } from "@/ui/Menu";
import { toast } from "@/ui/Toast";
import { commandLine, curl, python } from "./commands";
import type { Start } from "./request";

/** The start in the form, to be copied for use elsewhere. */
export function CopyMenu({ start, api, link }: { start: () => Start; api: string; link: () => string }) {
  const copy = (what: string, text: string) => {
    void copyText(text).then((done) => { toast(done ? { title: `${what} copied`, tone: "done" } : { title: "The browser refused to copy", tone: "error" }); });
  };
  return (
    <Menu trigger={<Button icon={<ChevronDown size={14} aria-hidden />}>Copy as</Button>}>
      <MenuItem onSelect={() => { copy("The curl command", curl(start(), api)); }}>curl</MenuItem>
      <MenuItem onSelect={() => { copy("The command", commandLine(start())); }}>Command line</MenuItem>
      <MenuItem onSelect={() => { copy("The Python code", python(start())); }}>Python</MenuItem>
      <MenuItem onSelect={() => { copy("The link", link()); }}>Link to this form</MenuItem>
    </Menu>
  );
}
