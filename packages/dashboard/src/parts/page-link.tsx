import type { ComponentChildren } from 'preact';
import { addressOf } from '../route.ts';

interface Props {
  /** Such as `groups?name=mailers`. */
  readonly page: string;
  readonly children: ComponentChildren;
  readonly class?: string;
  readonly title?: string;
  readonly 'aria-current'?: 'page';
}

/** A link to a page of the dashboard, which is followed without loading the dashboard anew. */
export function PageLink({ page, children, ...more }: Props) {
  return (
    <a href={addressOf(page)} data-page={page} {...more}>
      {children}
    </a>
  );
}
