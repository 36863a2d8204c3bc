/** A URL in a text may open a page or a mail. Everything else (javascript:, data:, files) isn't made a link. */
export function safeHref(href: string | undefined): string | null {
  if (!href) return null;
  if (/^(https?:|mailto:)/i.test(href)) return href;
  // Relative addresses would lead into Studio, or the host application, under the reader's session.
  return null;
}
