import { defineConfig, mergeConfig } from "vitest/config";
import vite from "./vite.config";

export default mergeConfig(
  vite,
  defineConfig({
    test: {
      include: ["src/**/*.test.{ts,tsx}", "eslint-rules/**/*.test.js"],
      environment: "node",
      setupFiles: ["./vitest.setup.ts"],
      env: { TZ: "UTC" },
    },
  }),
);
