import { Link } from "@tanstack/react-router";
import { CircleHelp, Menu as MenuIcon, Search } from "lucide-react";
import type { Me } from "@/api/types";
import { Button, IconButton } from "@/ui/Button";
import { AccountMenu } from "./AccountMenu";
import { LiveStatus } from "./LiveStatus";

interface HeaderProps {
  me: Me;
  onNav: () => void;
  onSearch: () => void;
  onHelp: () => void;
}

export function Header({ me, onNav, onSearch, onHelp }: HeaderProps) {
  return (
    <header className="sticky top-0 z-30 flex h-12 items-center gap-1 border-b bg-surface px-2 sm:gap-2 sm:px-4">
      <IconButton label="Pages" className="lg:hidden" onClick={onNav}>
        <MenuIcon size={18} aria-hidden />
      </IconButton>
      <Link to="/" className="flex items-center gap-2 font-semibold text-ink no-underline">
        <img src="favicon.svg" alt="" width="20" height="20" />
        <span className="max-sm:sr-only">Stepwell</span>
      </Link>
      <div className="grow" />
      <LiveStatus />
      <Button icon={<Search size={14} aria-hidden />} onClick={onSearch} className="max-sm:px-2" aria-keyshortcuts="Control+K Meta+K">
        <span className="text-muted max-sm:sr-only">Search</span>
        <kbd aria-hidden className="text-muted max-md:hidden">Ctrl K</kbd>
      </Button>
      <IconButton label="Keyboard shortcuts" onClick={onHelp} className="max-sm:hidden">
        <CircleHelp size={18} aria-hidden />
      </IconButton>
      <AccountMenu me={me} />
    </header>
  );
}
