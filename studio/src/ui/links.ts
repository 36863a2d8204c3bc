/** What an address in somebody's text may do: open a page or a mail. Everything else (javascript:, data:, files) is no link. */
export function safeHref(href: string | undefined): string | null {
  if (!href) return null;
  if (/^(https?:|mailto:)/i.test(href)) return href;
  // Relative addresses would lead into Studio, or the host application, under the reader's session.
  return null;
}
