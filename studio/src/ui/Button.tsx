import type { ComponentProps, ReactNode } from "react";
import { cn } from "./cn";
import { Tooltip } from "./Tooltip";

export type ButtonVariant = "primary" | "secondary" | "danger" | "ghost";
export type ButtonSize = "sm" | "md";

const VARIANTS: Record<ButtonVariant, string> = {
  primary: "border-accent bg-accent text-on-accent hover:opacity-90",
  secondary: "border-control bg-surface text-ink hover:bg-hover",
  danger: "border-failed bg-surface text-failed hover:tint-failed",
  ghost: "border-transparent bg-transparent text-ink hover:bg-hover",
};

const SIZES: Record<ButtonSize, string> = { sm: "min-h-6 px-2 text-xs", md: "min-h-8 px-3" };

/** For links that look like buttons. */
export function buttonClass(variant: ButtonVariant = "secondary", size: ButtonSize = "md"): string {
  return cn(
    "inline-flex shrink-0 items-center justify-center gap-1.5 rounded-sm border font-medium whitespace-nowrap no-underline",
    "aria-disabled:opacity-60 aria-disabled:hover:bg-surface disabled:opacity-60",
    VARIANTS[variant],
    SIZES[size],
  );
}

export interface ButtonProps extends Omit<ComponentProps<"button">, "disabled"> {
  variant?: ButtonVariant;
  size?: ButtonSize;
  icon?: ReactNode;
  /** True while its action is in progress: a second click does nothing. */
  pending?: boolean | undefined;
  /** Why it can't be used now. The button stays visible and focusable, and shows the reason. */
  off?: string | false | null | undefined;
}

export function Button({ variant, size, icon, pending = false, off, className, children, onClick, type = "button", ...rest }: ButtonProps) {
  const dead = pending || Boolean(off);
  const button = (
    <button
      {...rest}
      type={dead ? "button" : type}
      aria-disabled={dead || undefined}
      aria-busy={pending || undefined}
      className={cn(buttonClass(variant, size), className)}
      onClick={dead ? (event) => { event.preventDefault(); } : onClick}
    >
      {icon}
      {children}
    </button>
  );
  return off ? <Tooltip text={off}>{button}</Tooltip> : button;
}

export interface IconButtonProps extends Omit<ButtonProps, "icon" | "children"> {
  /** Its name: spoken, and shown as a tooltip. */
  label: string;
  children: ReactNode;
}

export function IconButton({ label, variant = "ghost", size = "md", off, className, children, ...rest }: IconButtonProps) {
  const button = (
    <Button
      {...rest}
      variant={variant}
      size={size}
      off={off && `${label}: ${off}`}
      aria-label={label}
      className={cn(size === "sm" ? "size-6" : "size-8", "px-0!", className)}
    >
      {children}
    </Button>
  );
  return off ? button : <Tooltip text={label}>{button}</Tooltip>;
}
