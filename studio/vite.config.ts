import { fileURLToPath } from "node:url";
import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vite";

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** What the Python server writes into index.html per answer, for Vite's own development server. */
function placeholders(): Plugin {
  return {
    name: "stepwell-placeholders",
    apply: "serve",
    transformIndexHtml: (html) =>
      html.replaceAll("__STUDIO_BASE__", "/").replaceAll("__API_BASE__", "/api/v1").replaceAll("__CSP_NONCE__", ""),
  };
}

export default defineConfig({
  base: "./",
  plugins: [react(), tailwindcss(), placeholders()],
  resolve: { alias: { "@": here("./src") } },
  html: { cspNonce: "__CSP_NONCE__" },
  build: {
    outDir: process.env.STUDIO_OUT_DIR ?? here("../src/stepwell/console/http/studio/static"),
    emptyOutDir: true,
    // A data: URL would be refused by the Content-Security-Policy.
    assetsInlineLimit: 0,
    target: "es2022",
  },
  server: {
    proxy: { "/api": { target: process.env.STEPWELL_DEV ?? "http://127.0.0.1:8000", changeOrigin: true } },
  },
});
