import path from "node:path";
import { RuleTester } from "eslint";
import ts from "typescript-eslint";
import { describe, it } from "vitest";
import { arrows } from "./arrows.js";

RuleTester.describe = describe;
RuleTester.it = it;

const at = (file) => path.resolve(import.meta.dirname, "../src", file);
const tester = new RuleTester({ languageOptions: { parser: ts.parser } });

tester.run("arrows", arrows, {
  valid: [
    { filename: at("features/run/page.tsx"), code: 'import { fold } from "@/model/fold";' },
    { filename: at("features/run/feed/item.tsx"), code: 'import { tabs } from "../tabs";' },
    { filename: at("model/fold.ts"), code: 'import type { Run } from "@/api/types";' },
    { filename: at("model/fold.ts"), code: 'import { type Run } from "@/api/types";' },
    { filename: at("app/routes.ts"), code: 'import("@/features/run/page");' },
    { filename: at("ui/Time.tsx"), code: 'import { relative } from "@/model/time";' },
    { filename: at("ui/Button.tsx"), code: 'import { Tooltip } from "radix-ui"; import { cn } from "./cn";' },
  ],
  invalid: [
    { filename: at("api/client.ts"), code: 'import { fold } from "@/model/fold";', errors: [{ messageId: "room" }] },
    { filename: at("model/fold.ts"), code: 'import { get } from "../api/client";', errors: [{ messageId: "types" }] },
    { filename: at("ui/Badge.tsx"), code: 'import { STATUSES } from "@/model/status";', errors: [{ messageId: "room" }] },
    { filename: at("stream/live.ts"), code: 'export { Button } from "@/ui/Button";', errors: [{ messageId: "room" }] },
    { filename: at("features/runs/page.tsx"), code: 'import { Feed } from "@/features/run/feed";', errors: [{ messageId: "feature" }] },
    { filename: at("features/runs/page.tsx"), code: 'const page = import("../run/page");', errors: [{ messageId: "feature" }] },
    { filename: at("features/runs/page.tsx"), code: 'import { router } from "@/app/router";', errors: [{ messageId: "room" }] },
  ],
});
