import { Columns3 } from "lucide-react";
import type { Run } from "@/api/types";
import { Button } from "@/ui/Button";
import { Menu, MenuCheck, MenuLine, MenuTitle } from "@/ui/Menu";
import type { Column } from "@/ui/Table";
import type { Preferences } from "./preferences";

/** Which columns are shown, and how high the rows are. */
export function TableMenu({ columns, preferences, onChange }: { columns: readonly Column<Run>[]; preferences: Preferences; onChange: (change: Partial<Preferences>) => void }) {
  const { hidden, comfortable } = preferences;
  const show = (id: string, shown: boolean) => { onChange({ hidden: shown ? hidden.filter((one) => one !== id) : [...hidden, id] }); };
  return (
    <Menu trigger={<Button icon={<Columns3 size={14} aria-hidden />}>Columns</Button>}>
      <MenuTitle>Columns</MenuTitle>
      {columns.map((column) => (
        <MenuCheck key={column.id} checked={!hidden.includes(column.id)} onChange={(shown) => { show(column.id, shown); }}>
          {column.header}
        </MenuCheck>
      ))}
      <MenuLine />
      <MenuCheck checked={comfortable} onChange={(checked) => { onChange({ comfortable: checked }); }}>
        Higher rows
      </MenuCheck>
    </Menu>
  );
}
