/** What a walk through a file found. The file is sound if `problems` is empty. A thread may post it to another. */
export interface Findings {
  /** Whether there was anything to walk: if not, the counts say nothing. */
  isWalked: boolean;
  events: number;
  blocks: number;
  keys: number;
  /** What is wrong and where: the first thousand problems. */
  readonly problems: string[];
  /** The number of all problems. */
  problemsFound: number;
}

const PROBLEMS_LISTED_MAX = 1000;

export function noFindings(): Findings {
  return { isWalked: true, events: 0, blocks: 0, keys: 0, problems: [], problemsFound: 0 };
}

export function addProblem(findings: Findings, problem: string): void {
  findings.problemsFound += 1;
  if (findings.problems.length < PROBLEMS_LISTED_MAX) findings.problems.push(problem);
}
