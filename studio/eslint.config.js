import js from "@eslint/js";
import hooks from "eslint-plugin-react-hooks";
import globals from "globals";
import ts from "typescript-eslint";
import { arrows } from "./eslint-rules/arrows.js";

export default ts.config(
  { ignores: ["node_modules", "dist", "src/api/schema.gen.ts"] },
  js.configs.recommended,
  { files: ["**/*.{ts,tsx}"], extends: [ts.configs.strict, ts.configs.stylistic] },
  {
    files: ["src/**/*.{ts,tsx}"],
    plugins: { stepwell: { rules: { arrows } }, "react-hooks": hooks },
    languageOptions: { globals: globals.browser },
    rules: {
      ...hooks.configs.recommended.rules,
      "stepwell/arrows": "error",
      // Studio is not compiled by the React Compiler: nothing memoises what TanStack Virtual returns.
      "react-hooks/incompatible-library": "off",
      "no-eval": "error",
      "no-new-func": "error",
      "no-console": ["error", { allow: ["error"] }],
      "max-lines": ["error", { max: 400, skipBlankLines: true }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-empty-function": "off",
      "@typescript-eslint/consistent-type-definitions": "off",
      "@typescript-eslint/consistent-indexed-object-style": "off",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
    },
  },
  // Tests index what was recorded, and fail if it isn't there.
  { files: ["src/**/*.test.{ts,tsx}", "src/model/recordings.ts"], rules: { "@typescript-eslint/no-non-null-assertion": "off" } },
  { files: ["src/api/types.ts"], rules: { "max-lines": "off" } },
  { files: ["public/*.js"], languageOptions: { globals: globals.browser, sourceType: "script" }, rules: { "no-var": "off" } },
  { files: ["*.config.{js,ts}", "eslint-rules/**", "vitest.setup.ts"], languageOptions: { globals: globals.node } },
);
