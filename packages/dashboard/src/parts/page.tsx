import type { ComponentChildren } from 'preact';
import { useEffect } from 'preact/hooks';
import { Refusal, Unreachable } from '../service/ask.ts';
import { Copy } from './copy.tsx';

/** A page: its title, which is also that of the tab, what it is for, and what is on it. */
export function Page({
  title,
  lead,
  children,
}: {
  title: string;
  lead: string;
  children: ComponentChildren;
}) {
  useEffect(() => {
    document.title = `${title} · ChronicleWeaver`;
  }, [title]);
  return (
    <>
      <h1>{title}</h1>
      <p class="lead">{lead}</p>
      {children}
    </>
  );
}

export function Card({ title, children }: { title?: string; children: ComponentChildren }) {
  return (
    <section class="card">
      {title !== undefined && <h2>{title}</h2>}
      {children}
    </section>
  );
}

/** Nothing is here yet: what would be, and the line to paste that brings it about. */
export function Empty({ what, command }: { what: ComponentChildren; command?: string }) {
  return (
    <div class="empty">
      <p>{what}</p>
      {command !== undefined && <Command text={command} />}
    </div>
  );
}

/** A command line to paste. */
export function Command({ text }: { text: string }) {
  return (
    <div class="command">
      <pre tabIndex={0}>{text}</pre>
      <Copy text={text} what="the command" />
    </div>
  );
}

/** What went wrong, as the service told it. */
export function Fault({ error }: { error: unknown }) {
  if (error === undefined) return null;
  return (
    <div class="fault" role="alert">
      <p>{saidBy(error)}</p>
      {error instanceof Refusal && error.faults.length > 0 && (
        <ul>
          {error.faults.map((fault) => (
            <li key={fault}>{fault}</li>
          ))}
        </ul>
      )}
    </div>
  );
}

function saidBy(error: unknown): string {
  if (error instanceof Unreachable) return `The service cannot be reached: ${error.message}.`;
  if (error instanceof Refusal && error.status === 403)
    return `${sentence(error.message)} Take another key (above) to see this.`;
  return sentence(error instanceof Error ? error.message : String(error));
}

function sentence(text: string): string {
  const first = text.slice(0, 1).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(first) ? first : `${first}.`;
}
