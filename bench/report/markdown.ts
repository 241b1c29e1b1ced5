/** The results as one Markdown table, which is the terminal's table too. */
import { berthName } from '../peers/berth.ts'
import type { CaseResult, Cell, RegistryResult, RunResult } from '../result.ts'
import { formatCount, formatFigure } from './numbers.ts'

export function formatMarkdown(run: RunResult): string {
  return `${[heading(run), formatTable(run), legend].join('\n\n')}\n`
}

/** Columns are padded, so that it can be read as it is. */
export function formatTable({ cases, registries }: RunResult): string {
  const there = registries.filter((registry) => !('missing' in registry)).map(({ name }) => name)
  const header = ['case', 'unit', ...there, 'best other', 'ratio', 'wanted', 'reached', 'note']
  const rows = cases.map((result) => rowOf(result, there))
  const widths = header.map((title, column) =>
    Math.max(...[header, ...rows].map((row) => (row[column] ?? '').length), title.length),
  )
  const line = (cells: readonly string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(' | ')} |`
  return [line(header), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n')
}

function rowOf(result: CaseResult, registries: readonly string[]): string[] {
  const { best, ratio, wanted } = result
  const notes = [
    ...(result.note === undefined ? [] : [result.note]),
    ...registries.flatMap((name) => noteOf(name, result.cells[name])),
    ...processorNote(result, registries),
  ]
  return [
    result.title,
    result.unit,
    ...registries.map((name) => formatCell(result.cells[name])),
    best === undefined ? '' : `${best.registry} ${formatFigure(best.value)}`,
    ratio === undefined ? '' : `×${formatFigure(ratio)}`,
    wanted.map(({ text }) => text).join('; '),
    wanted.map(({ reached }) => (reached === undefined ? '–' : reached ? 'yes' : '**no**')).join('; '),
    notes.join('; '),
  ].map((cell) => cell.replaceAll('|', '\\|'))
}

function formatCell(cell: Cell | undefined): string {
  if (cell === undefined || cell.kind === 'unasked') return ''
  if (cell.kind === 'none') return '–'
  if (cell.kind === 'failed') return '**failed**'
  const times =
    cell.p50 === undefined || cell.p99 === undefined ? '' : ` (${formatFigure(cell.p50)} / ${formatFigure(cell.p99)})`
  return formatFigure(cell.value) + times
}

/** Reasons and remarks, by name. What holds for all peers alike is said in the title or the text above. */
function noteOf(name: string, cell: Cell | undefined): string[] {
  if (cell?.kind === 'failed') return [`${name}: ${cell.reason}`]
  if (cell?.kind === 'none') return [`${name}: ${cell.reason}`]
  if (cell?.kind === 'unasked') return []
  return cell?.note === undefined ? [] : [`${name}: ${cell.note}`]
}

/** What one of what is counted costs each registry, whatever it costs the client. */
function processorNote({ cells }: CaseResult, registries: readonly string[]): string[] {
  const each = registries.flatMap((name) => {
    const cell = cells[name]
    return cell?.kind === 'measured' && cell.processor !== undefined ? [`${name} ${formatFigure(cell.processor)}`] : []
  })
  return each.length === 0 ? [] : [`ms of processor time each: ${each.join(', ')}`]
}

function heading({ began, minutes, commit, machine, settings, registries, tools }: RunResult): string {
  const { rounds, seconds, entries, large, quick, only } = settings
  return [
    `# Measured on ${began.slice(0, 10)}, commit ${commit}`,
    '',
    `${machine.processor}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Linux ${machine.kernel}, ${machine.disk}: ` +
      `${formatCount(machine.diskWriteMegabytesPerSecond)} MB/s written and synced, ${machine.diskSyncMilliseconds} ms a small sync.`,
    `${rounds === 1 ? '1 round' : `${rounds} rounds`} of ${seconds} s, the registries in turn, the median of the rounds; ${formatCount(entries)} entries, ` +
      `${formatCount(large)} in Berth's largest store; ${minutes.toFixed(0)} minutes in all.` +
      (quick ? ' **A quick run: too short to compare.**' : '') +
      (only === '' ? '' : ` Only the cases that match \`${only}\`.`),
    '',
    ...registries.map(registryLine),
    `* ${Object.entries(tools)
      .map(([name, version]) => `${name}: ${version}`)
      .join(', ')}`,
  ].join('\n')
}

const registryLine = (registry: RegistryResult): string =>
  'missing' in registry
    ? `* **${registry.name}** is not part of it: ${registry.missing}`
    : `* **${registry.name}** ${registry.version}: ${registry.configuration}; syncs ${registry.syncs} before it acknowledges a push`

const legend = [
  `Cells: the figure in the row's unit, in brackets p50 / p99 in ms; – where a registry has no such thing, nothing where it is not asked.`,
  `Ratio: how many times better ${berthName} is than the best of the others; in pushes without those that sync nothing.`,
].join('\n')
