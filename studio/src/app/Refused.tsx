import { ShieldAlert } from "lucide-react";
import type { ApiError } from "@/api/problem";

/** 403: what is closed, and how to open it. The server's text says what to do. */
export function Refused({ error }: { error: ApiError }) {
  return (
    <div className="flex flex-col gap-3">
      <h1 className="flex items-center gap-2">
        <ShieldAlert size={20} aria-hidden className="text-failed" />
        {error.problem.title}
      </h1>
      <p className="wrap-anywhere whitespace-pre-wrap">{error.problem.detail}</p>
    </div>
  );
}
