/** Berth beside the others: the ratio, and whether what is wanted is reached. */
import type { Case, Wanted } from './case.ts'
import { berthName } from './peers/berth.ts'
import type { RegistryKind } from './peers/registry.ts'
import { formatFigure } from './report/numbers.ts'
import type { CaseResult, Cell } from './result.ts'

type Judged = Pick<CaseResult, 'best' | 'ratio' | 'wanted' | 'note'>

/** before: the results of the cases that ran earlier. kinds: all that are measured. */
export function judge(
  question: Case,
  cells: Readonly<Record<string, Cell>>,
  before: readonly CaseResult[],
  kinds: readonly RegistryKind[],
): Judged {
  const own = measured(cells[berthName])
  const better = question.unit.better
  const others =
    question.peersOf === undefined ? cells : (before.find(({ name }) => name === question.peersOf)?.cells ?? {})
  // Durable against durable: whoever leaves a push in memory does less than was asked for.
  const counted = kinds.filter(({ syncs }) => question.writes !== true || syncs === 'all of it')
  const best = bestOf(counted, others, better)
  const ratioTo = (other: { value: number } | undefined) =>
    own === undefined || other === undefined
      ? undefined
      : better === 'more'
        ? own.value / other.value
        : other.value / own.value
  const ratio = ratioTo(best)
  const careless = bestOf(
    kinds.filter(({ syncs }) => syncs === 'some of it'),
    others,
    better,
  )
  const note =
    question.writes === true && careless !== undefined && own !== undefined
      ? `×${formatFigure(ratioTo(careless) ?? 0)} of ${careless.registry}, which does not sync all of a push`
      : undefined
  const wanted = (question.wanted ?? []).map((wish) => ({
    wanted: wish,
    text: textOf(wish, before),
    reached: own === undefined ? undefined : isReached(wish, own, ratio, better, before),
  }))
  return {
    ...(best === undefined
      ? {}
      : { best: { ...best, ...(question.peersOf === undefined ? {} : { of: question.peersOf }) } }),
    ...(ratio === undefined ? {} : { ratio }),
    ...(note === undefined ? {} : { note }),
    wanted,
  }
}

type Measured = Extract<Cell, { kind: 'measured' }>

const measured = (cell: Cell | undefined): Measured | undefined => (cell?.kind === 'measured' ? cell : undefined)

function bestOf(kinds: readonly RegistryKind[], cells: Readonly<Record<string, Cell>>, better: 'more' | 'less') {
  const found = kinds
    .filter(({ name }) => name !== berthName)
    .flatMap(({ name }) => {
      const cell = measured(cells[name])
      return cell === undefined ? [] : [{ registry: name, value: cell.value }]
    })
  found.sort((one, other) => (better === 'more' ? other.value - one.value : one.value - other.value))
  return found[0]
}

/** Undefined when there is nothing to compare with. */
function isReached(
  wish: Wanted,
  own: Measured,
  ratio: number | undefined,
  better: 'more' | 'less',
  before: readonly CaseResult[],
): boolean | undefined {
  const other = (name: string) => measured(before.find((result) => result.name === name)?.cells[berthName])
  switch (wish.kind) {
    case 'ratio':
      return ratio === undefined ? undefined : ratio >= wish.atLeast
    case 'limit':
      return wish.bound === 'most' ? own.value <= wish.value : own.value >= wish.value
    case 'asIn': {
      const compared = other(wish.case)
      if (compared === undefined) return undefined
      const share = better === 'more' ? own.value / compared.value : compared.value / own.value
      return share >= 1 - wish.within
    }
    case 'p99AsIn': {
      const compared = other(wish.case)
      if (compared?.p99 === undefined || own.p99 === undefined) return undefined
      return own.p99 <= compared.p99 * (1 + wish.within)
    }
  }
}

function textOf(wish: Wanted, before: readonly CaseResult[]): string {
  const titleOf = (name: string) => before.find((result) => result.name === name)?.title ?? name
  switch (wish.kind) {
    case 'ratio':
      return `ratio ≥ ${wish.atLeast}`
    case 'limit':
      return `${wish.bound === 'most' ? '≤' : '≥'} ${wish.value}`
    case 'asIn':
      return `within ${wish.within * 100} % of "${titleOf(wish.case)}"`
    case 'p99AsIn':
      return `p99 within ${wish.within * 100} % of "${titleOf(wish.case)}"`
  }
}
