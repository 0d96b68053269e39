import type { TopicFilter } from '../store/event-store.ts';

/**
 * Words of a pattern that are examined: enough to tell nearly all patterns apart, few enough that many long patterns
 * take little memory and that a topic meets at most 2 to this power branches.
 */
const WORDS_MAX = 8;

/** A node of the tree: the place after some words of patterns. */
class Branch<T> {
  readonly words = new Map<string, Branch<T>>();
  any: Branch<T> | null = null;
  readonly values = new Set<T>();

  get isEmpty(): boolean {
    return this.values.size === 0 && this.words.size === 0 && this.any === null;
  }
}

/**
 * Finds the values whose filter may match a topic: all that do and a few that do not, so the filter has the last
 * word. It is a tree with one word per level, so the work grows with the topic's words and not with the number of
 * values: thousands of followers, each with a topic of its own, are told apart in a few steps.
 */
export class TopicRoutes<T> {
  readonly #root = new Branch<T>();

  add(filter: TopicFilter, value: T): void {
    for (const path of pathsOf(filter)) {
      let branch = this.#root;
      for (const word of path) branch = grown(branch, word);
      branch.values.add(value);
    }
  }

  delete(filter: TopicFilter, value: T): void {
    for (const path of pathsOf(filter)) prune(this.#root, path, value);
  }

  candidates(topic: string): Set<T> {
    const found = new Set(this.#root.values);
    let level = [this.#root];
    for (const word of topic.split('.', WORDS_MAX)) {
      const next: Branch<T>[] = [];
      for (const { words, any } of level) {
        const named = words.get(word);
        if (named !== undefined) next.push(named);
        if (any !== null) next.push(any);
      }
      for (const { values } of next) for (const value of values) found.add(value);
      level = next;
    }
    return found;
  }
}

/** A literal word of a pattern, or ANY for the wildcard. */
type Step = string | typeof ANY;
const ANY = Symbol('*');

/** The paths to a filter's topics. One of its lists is enough, since a topic must pass them all. */
function pathsOf({ topic, topicPatterns = [] }: TopicFilter): Step[][] {
  if (topic !== undefined) return [topic.split('.', WORDS_MAX)];
  const [patterns = ['>']] = topicPatterns;
  return patterns.map((pattern) => {
    const words = pattern.split('.');
    if (words.at(-1) === '>') words.pop();
    return words.slice(0, WORDS_MAX).map((word) => (word === '*' ? ANY : word));
  });
}

function grown<T>(branch: Branch<T>, step: Step): Branch<T> {
  if (step === ANY) return (branch.any ??= new Branch());
  let next = branch.words.get(step);
  if (next === undefined) branch.words.set(step, (next = new Branch()));
  return next;
}

function prune<T>(branch: Branch<T>, [step, ...rest]: Step[], value: T): void {
  if (step === undefined) {
    branch.values.delete(value);
    return;
  }
  const next = step === ANY ? branch.any : branch.words.get(step);
  // Two patterns may share a path.
  if (next === null || next === undefined) return;
  prune(next, rest, value);
  if (!next.isEmpty) return;
  if (step === ANY) branch.any = null;
  else branch.words.delete(step);
}
