import type { ComponentChildren } from 'preact';

/** A table that may be wider than the page: it scrolls by itself, also by keyboard, which needs a name and a focus. */
export function WideTable({
  label,
  class: kind,
  children,
}: {
  label: string;
  class?: string;
  children: ComponentChildren;
}) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table class={kind}>{children}</table>
    </div>
  );
}
