import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Fault } from './page.tsx';

interface Props {
  /** On the button that asks, and on the one that does it. */
  readonly label: string;
  readonly title: string;
  /** What happens then, said before it happens. */
  readonly children: ComponentChildren;
  readonly act: () => Promise<unknown>;
  readonly isDanger?: boolean;
  readonly disabled?: boolean;
}

/** A button that says first what it is about to do, and does it once that was confirmed. */
export function Confirm({ label, title, children, act, isDanger = false, disabled = false }: Props) {
  const [isOpen, open] = useState(false);
  const [error, fail] = useState<unknown>();
  const [isActing, acting] = useState(false);
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (isOpen) dialog.current?.showModal();
  }, [isOpen]);
  const confirmed = async (): Promise<void> => {
    acting(true);
    fail(undefined);
    try {
      await act();
      open(false);
    } catch (fault) {
      fail(fault);
    } finally {
      acting(false);
    }
  };
  return (
    <>
      <button type="button" class={isDanger ? 'danger' : ''} disabled={disabled} onClick={() => open(true)}>
        {label}
      </button>
      {isOpen && (
        <dialog ref={dialog} aria-label={title} onClose={() => open(false)}>
          <h2>{title}</h2>
          {children}
          <Fault error={error} />
          <div class="row">
            <button
              type="button"
              class={isDanger ? 'danger' : 'main'}
              disabled={isActing}
              onClick={() => void confirmed()}
            >
              {label}
            </button>
            <button type="button" onClick={() => open(false)}>
              Cancel
            </button>
          </div>
        </dialog>
      )}
    </>
  );
}
