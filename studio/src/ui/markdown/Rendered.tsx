import { ExternalLink } from "lucide-react";
import type { ComponentProps } from "react";
import Markdown from "react-markdown";
import gfm from "remark-gfm";
import { CodeBlock } from "../CodeBlock";
import { safeHref } from "../links";

/** Markdown by untrusted authors: no HTML, links that only open pages, and nothing loaded from other hosts. */
export default function Rendered({ text }: { text: string }) {
  return (
    <Markdown remarkPlugins={PLUGINS} skipHtml urlTransform={(href) => safeHref(href) ?? ""} components={COMPONENTS}>
      {text}
    </Markdown>
  );
}

const PLUGINS = [gfm];

const COMPONENTS: ComponentProps<typeof Markdown>["components"] = {
  // The page has its own h1 and h2: what a document says begins below them.
  h1: ({ children }) => <h3 dir="auto" className="mt-3 mb-1 text-lg">{children}</h3>,
  h2: ({ children }) => <h3 dir="auto" className="mt-3 mb-1">{children}</h3>,
  h3: ({ children }) => <h4 dir="auto" className="mt-2 mb-1 font-semibold">{children}</h4>,
  h4: ({ children }) => <h5 dir="auto" className="mt-2 font-semibold">{children}</h5>,
  h5: ({ children }) => <h6 dir="auto" className="mt-2 font-semibold">{children}</h6>,
  h6: ({ children }) => <p dir="auto" className="mt-2 font-semibold">{children}</p>,
  p: ({ children }) => <p dir="auto" className="my-1.5">{children}</p>,
  ul: ({ children }) => <ul dir="auto" className="my-1.5 list-disc ps-5">{children}</ul>,
  ol: ({ children, start }) => (
    <ol dir="auto" start={start} className="my-1.5 list-decimal ps-5">
      {children}
    </ol>
  ),
  blockquote: ({ children }) => <blockquote dir="auto" className="my-1.5 border-s-2 border-control ps-3 text-muted">{children}</blockquote>,
  hr: () => <hr className="my-3" />,
  a: ({ href, children }) => {
    const safe = safeHref(href);
    if (!safe) return <span>{children}</span>;
    return (
      <a href={safe} target="_blank" rel="noopener noreferrer nofollow" className="prose-link">
        {children}
        <ExternalLink size={12} aria-label="(opens a new tab)" className="ml-0.5 inline" />
      </a>
    );
  },
  img: ({ src, alt }) => <Picture src={src} alt={alt} />,
  code: ({ children }) => <code className="rounded-sm bg-hover px-1 py-px wrap-anywhere">{children}</code>,
  pre: ({ node }) => <Code node={node} />,
  table: ({ children }) => (
    <div role="group" aria-label="Table" tabIndex={0} className="my-2 overflow-x-auto">
      <table className="border-collapse">{children}</table>
    </div>
  ),
  th: ({ children, style }) => (
    <th dir="auto" style={style} className="border px-2 py-1 text-start font-semibold">
      {children}
    </th>
  ),
  td: ({ children, style }) => (
    <td dir="auto" style={style} className="border px-2 py-1">
      {children}
    </td>
  ),
};

/** An image on another host would tell that host who is reading: it is shown as a link. */
function Picture({ src, alt }: { src: unknown; alt: string | undefined }) {
  const safe = safeHref(typeof src === "string" ? src : undefined);
  const words = alt || "Image";
  return safe ? (
    <a href={safe} target="_blank" rel="noopener noreferrer nofollow" className="prose-link">
      {words}
    </a>
  ) : (
    <span>[{words}]</span>
  );
}

interface TreeNode {
  type: string;
  value?: string;
  children?: TreeNode[];
  properties?: { className?: unknown };
}

function Code({ node }: { node: unknown }) {
  const inner = (node as TreeNode).children?.[0];
  const classes = Array.isArray(inner?.properties?.className) ? (inner.properties.className as string[]) : [];
  const language = classes.find((name) => name.startsWith("language-"))?.slice("language-".length);
  return <CodeBlock code={textOf(inner).replace(/\n$/, "")} label={language ? `${language} code` : "Code"} language={language} className="my-2" />;
}

function textOf(node: TreeNode | undefined): string {
  return node?.value ?? node?.children?.map(textOf).join("") ?? "";
}
