import { StoreError } from '../event-store.ts';

/**
 * What a move leaves in both stores. No log is served from two places: the source is marked `moved` before the target
 * becomes `complete`, and while a target is `filling` no service may write to it.
 */
export interface MoveMark {
  readonly role: 'moved' | 'filling' | 'complete';
  /** The move's name, drawn at random; both stores have the same. */
  readonly move: string;
  /** The moved log's first epoch. */
  readonly log: string;
  /** The place of the other store. */
  readonly other: string;
}

/** Throws a StoreError `unusable` where the mark keeps a service from starting. */
export function refuseMarked(place: string, mark: MoveMark | null): void {
  const why = mark === null ? null : refusalOf(place, mark);
  if (why !== null) throw new StoreError('unusable', why);
}

/** Why no service may write to a store with this mark; null if it may. */
export function refusalOf(place: string, { role, other }: MoveMark): string | null {
  switch (role) {
    case 'moved':
      return `${place} was moved to ${other}: that is the address to serve from now on`;
    case 'filling':
      return `${place} is being filled by a move from ${other}: let chronicleweaver move finish, or run it again`;
    case 'complete':
      return null;
  }
}

/**
 * The mark that a target takes: the one that it has if it is being filled from the same log already.
 *
 * @throws StoreError `unusable` if it can be no target of this move
 */
export function takenMark(
  target: { readonly place: string; readonly found: MoveMark | null; readonly isEmpty: boolean },
  wanted: MoveMark,
): MoveMark {
  const { place, found, isEmpty } = target;
  if (found?.role === 'filling' && found.log === wanted.log) return { ...found, other: wanted.other };
  if (found !== null && found.role !== 'complete') {
    throw new StoreError(
      'unusable',
      `${refusalOf(place, found)}; name an empty store to move ${wanted.other} to`,
    );
  }
  if (isEmpty) return wanted;
  throw new StoreError(
    'unusable',
    `${place} holds events, groups, retention policies or sources already: name a new file, or another schema with ?schema=, to move ${wanted.other} to`,
  );
}

/** The ids that it has hashed are not those of the source, so a run of this version cannot go on with it. */
export function otherSecret(place: string): StoreError {
  return new StoreError(
    'unusable',
    `${place} was begun by a move of an older version, which hashed ids under a secret of its own: name a new store`,
  );
}
