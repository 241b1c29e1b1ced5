/** Cases that are looks at the same rounds of one experiment, each at a figure of its own. */
import type { Case, Measurement, Round } from '../case.ts'
import type { Registry } from '../peers/registry.ts'

type Look<Experiment> = (result: Experiment) => Measurement

/**
 * Declares such cases; the first of them that is measured in a round carries the experiment out for all.
 * shared: what they have in common unless one says otherwise. For Berth alone, since a round is remembered by its number.
 */
export function looksAt<Experiment>(
  experiment: (registry: Registry, round: Round) => Promise<Experiment>,
  shared: Omit<Case, 'name' | 'title' | 'measure'> & { readonly berthAlone: string },
) {
  const rounds = new Map<number, Promise<Experiment>>()
  const resultOf = (registry: Registry, round: Round): Promise<Experiment> => {
    const running = rounds.get(round.number) ?? experiment(registry, round)
    rounds.set(round.number, running)
    return running
  }
  return (name: string, title: string, look: Look<Experiment>, rest: Partial<Case> = {}): Case => ({
    ...shared,
    name,
    title,
    measure: async (registry, round) => look(await resultOf(registry, round)),
    ...rest,
  })
}
