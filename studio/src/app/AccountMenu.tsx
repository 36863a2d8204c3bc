import { useMutation, useQueryClient } from "@tanstack/react-query";
import { CircleUser, LogOut } from "lucide-react";
import { useState } from "react";
import { signOut } from "@/api/mutations";
import type { Me } from "@/api/types";
import { IconButton } from "@/ui/Button";
import { density } from "@/ui/density";
import { Menu, MenuCheck, MenuChoice, MenuItem, MenuLine, MenuTitle } from "@/ui/Menu";
import { forget } from "@/ui/personal";
import { shortcutsOn, turnShortcuts } from "@/ui/shortcuts";
import { toastError } from "@/ui/Toast";
import { zone } from "@/ui/zone";
import type { Theme } from "./theme";
import { setTheme, useTheme } from "./theme";

const THEMES: readonly { value: Theme; label: string }[] = [
  { value: "system", label: "As the system" },
  { value: "light", label: "Light" },
  { value: "dark", label: "Dark" },
];

const HERE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const ZONES = [
  { value: "local", label: `Local: ${HERE}` },
  { value: "utc", label: "UTC" },
] as const;

const DENSITIES = [
  { value: "compact", label: "Compact" },
  { value: "comfortable", label: "Comfortable" },
] as const;

/** The signed-in user, and their settings. */
export function AccountMenu({ me }: { me: Me }) {
  const theme = useTheme();
  const [keys, setKeys] = useState(shortcutsOn);
  const client = useQueryClient();
  const leave = useMutation({
    mutationFn: signOut,
    onSuccess: () => {
      // The cached data, and what is stored, belongs to the user who signed out.
      forget();
      client.clear();
      window.location.reload();
    },
    onError: (error) => { toastError("You couldn't be signed out", error); },
  });
  return (
    <Menu
      trigger={
        <IconButton label="Account and settings">
          <CircleUser size={18} aria-hidden />
        </IconButton>
      }
    >
      <MenuTitle>
        {me.user_id} · {me.role}
        {me.everybody ? ", sees all users' runs" : ", sees only own runs"}
      </MenuTitle>
      <MenuLine />
      <MenuTitle>Theme</MenuTitle>
      <MenuChoice label="Theme" value={theme} options={THEMES} onChange={setTheme} />
      <MenuLine />
      <MenuTitle>Times in</MenuTitle>
      <MenuChoice label="Times in" value={zone.use()} options={ZONES} onChange={zone.set} />
      <MenuLine />
      <MenuTitle>Table rows</MenuTitle>
      <MenuChoice label="Table rows" value={density.use()} options={DENSITIES} onChange={density.set} />
      <MenuLine />
      <MenuCheck
        checked={keys}
        onChange={(on) => {
          turnShortcuts(on);
          setKeys(on);
        }}
      >
        Single-key shortcuts
      </MenuCheck>
      {me.sign_out && (
        <>
          <MenuLine />
          <MenuItem icon={<LogOut size={14} aria-hidden />} onSelect={() => { leave.mutate(); }}>
            Sign out
          </MenuItem>
        </>
      )}
      <MenuLine />
      <MenuTitle>
        Stepwell {me.version} on {me.database === "sqlite" ? "SQLite" : "PostgreSQL"}
      </MenuTitle>
    </Menu>
  );
}
