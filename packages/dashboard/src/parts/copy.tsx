import { useState } from 'preact/hooks';

/** How long the button says that it has copied, milliseconds. */
const SAID_MS = 2000;

export function Copy({ text, what, label = 'Copy' }: { text: string; what: string; label?: string }) {
  const [said, say] = useState<string | undefined>();
  const copy = async (): Promise<void> => {
    try {
      await copyText(text);
      say('Copied');
    } catch {
      say('Not copied');
    }
    setTimeout(() => say(undefined), SAID_MS);
  };
  return (
    <button type="button" class="quiet" aria-label={`${said ?? label}: ${what}`} onClick={() => void copy()}>
      <span aria-live="polite">{said ?? label}</span>
    </button>
  );
}

/** A page that came by plain HTTP from another host has no clipboard, but may still copy what is selected. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard !== undefined) return navigator.clipboard.writeText(text);
  const area = document.createElement('textarea');
  area.value = text;
  document.body.append(area);
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  if (!isCopied) throw new Error('the browser did not copy');
}
