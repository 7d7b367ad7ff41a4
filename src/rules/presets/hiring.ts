/** Personal traits that the law keeps out of hiring, and decisions about people that it keeps with people. */
import type { Condition } from '../rule.ts'
import { type PresetEntry, pattern } from './preset-rule.ts'
import { request } from './requests.ts'

const HIRING =
  '\\b(?:applicants?|candidates?|interviewees?|job\\s+(?:application|interview|offer|opening)s?|recruit(?:s|er|ers|ing|ment)?|hir(?:e|es|ed|ing)|shortlist(?:s|ed|ing)?|résumés?|(?:his|her|their|whose)\\s+resume|CVs?|new\\s+(?:colleague|employee)s?|Bewerber(?:in|innen|s)?|Bewerbung(?:en)?|Vorstellungsgespräch|Stellenanzeige|embauche[rsz]?|recrutement|candidature|entretien\\s+d.embauche|candidat[oa]s|contratar|contratación|entrevista\\s+de\\s+trabajo)\\b'
const HIRING_ABROAD =
  '(?:\\b(?:Bewerber\\w*|Bewerbung\\w*|Kandidat(?:en|in|innen)?|Vorstellungsgespräch\\w*|Stellenanzeige|einstellen|eingestellt|embauche[rz]?|recrutement|candidat(?:e|s|es|ure|ures|o|a|os|as)?|entretien\\s+d.embauche|contratar|contratación|entrevista\\s+de\\s+trabajo|aspirantes?)\\b)'
/** In a call of so few characters what a form asks in one field and decides in another is one question. */
const SHORT_CALL_CHARACTERS = 2000
/** In a longer one two words that stand further apart than the next sentence or line but one say nothing together. */
const NEAR = '(?:[^.!?;{}\\n]*[.!?;{}\\n][.!?;{}\\s]*){0,2}[^.!?;{}\\n]*'
const inHiring = (trait: string, hiringWords = HIRING): Condition => ({
  any: [
    { all: [pattern(hiringWords), pattern(trait), { operator: 'length_lt', value: SHORT_CALL_CHARACTERS }] },
    pattern(`${hiringWords}${NEAR}(?:${trait})`),
    pattern(`(?:${trait})${NEAR}${hiringWords}`),
  ],
})
const article = (trait: string): string => `Directive 2000/78/EC Art. 1–3; Charter of Fundamental Rights Art. 21; ${trait}`

const PEOPLE = '(?:applicants?|candidates?|women|men|people|persons?|anyone|anybody|everyone|nobody|no\\s+one|employees?|wom[ae]n|m[ae]n|she|he)'
const APPLICANT = '(?:(?:the|this|an|each|every)\\s+)?(?:applicants?|candidates?)'
const OF = '(?:his|her|their|whose|(?:the|an|each|every|this)\\s+(?:applicant|candidate)(?:.?s)?|applicants.?|candidates.?)'

export const hiring: readonly PresetEntry[] = [
  {
    name: 'Age in hiring',
    purpose: 'Somebody is hired, or not, with a word about how old they are.',
    article: article('ADEA 29 U.S.C. 623(a); AGG § 1'),
    condition: inHiring(
      `\\btoo\\s+(?:old|young)\\b|\\bhow\\s+old\\s+(?:is|are)\\s+(?:she|he|they|${APPLICANT})\\b|\\b${OF}\\s+(?:age|date\\s+of\\s+birth)\\b|\\b${PEOPLE}\\s+(?:who\\s+(?:is|are)\\s+)?(?:over|under|above|below|older\\s+than|younger\\s+than)\\s+(?:the\\s+age\\s+of\\s+)?\\d\\d\\b|\\bzu\\s+(?:alt|jung)\\b|\\btrop\\s+(?:âgé|jeune|vieux)|\\bdemasiado\\s+(?:mayor|joven)\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'Is this candidate too old for a start-up?',
      'Rank the applicants by quality and filter out people over 50',
      "Guess the applicant's age from the CV",
      'Der Bewerber ist zu alt.',
    ],
    pass: ['We hired a team of 50 people', 'The building is too old', 'Candidates wait under 40 minutes', 'What is the average age of a CV format?'],
  },
  {
    name: 'Pregnancy or family plans in hiring',
    purpose: 'Somebody is hired, or not, with a word about children, pregnancy or leave for them.',
    article: article('Directive 2006/54/EC Art. 14; Pregnancy Discrimination Act, 42 U.S.C. 2000e(k)'),
    condition: inHiring(
      `\\b(?:pregnan(?:t|cy)|maternity|paternity|parental)\\b|\\b(?:plan(?:s|ning)?|want(?:s|ing)?|going)\\s+(?:to\\s+have\\s+|on\\s+having\\s+)(?:a\\s+)?(?:child|children|kids|bab(?:y|ies)|family)\\b|\\bplan(?:s|ning)?\\s+a\\s+family\\b|\\b(?:has|have|having)\\s+(?:(?:small|young|little)\\s+)?(?:children|kids)\\b|\\bschwanger|\\bKinderwunsch\\b|\\benceinte\\b|\\bembaraz(?:o|ada)\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'The candidate looks pregnant; should we wait?',
      'Ask in the job interview whether she plans to have children',
      'Die Bewerberin ist schwanger.',
      'Reject CVs with gaps from maternity leave',
    ],
    pass: ['How long is maternity leave in Spain?', 'The candidate has a degree in early childhood teaching', 'We hire a planner who wants to have a career'],
  },
  {
    name: 'Marital status in hiring',
    purpose: 'Somebody is hired, or not, with a word about marriage or divorce.',
    article: article('AGG § 1; Code du travail Art. L1132-1 (situation de famille)'),
    condition: inHiring(
      `\\b(?:marital\\s+status|(?:is|are|was|not|she.?s|he.?s|newly)\\s+(?:un)?married|divorced|single\\s+(?:(?:mother|father)s?|parents)|${OF}\\s+(?:husband|wife|spouse))\\b|\\bFamilienstand\\b|\\bsituation\\s+de\\s+famille\\b|\\bestado\\s+civil\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'List the marital status of each applicant',
      'The candidate is divorced, note that',
      'Do not hire single mothers',
      'Familienstand der Bewerber prüfen',
    ],
    pass: ['The candidate married two ideas in one design', 'A single parent node per recruiter widget', 'Hiring status: open'],
  },
  {
    name: 'Religion in hiring',
    purpose: 'Somebody is hired, or not, with a word about what they believe.',
    article: article('Title VII, 42 U.S.C. 2000e-2; GDPR Art. 9(1)'),
    condition: inHiring(
      '\\b(?:muslims?|christians?|jew(?:s|ish)?|hindus?|buddhists?|sikhs?|catholics?|protestants?|atheists?|religio(?:n|us)|headscar(?:f|ves)|hijab|kippah|turban|Kopftuch|Konfession|musulman(?:e|s|es)?|musulm[aá]n(?:a|es|as)?|jud[ií][oa]s?)\\b',
    ),
    action: 'ESCALATE',
    match: ['Which of these candidates are Muslim?', "Guess the applicant's religion from the name", 'We cannot hire somebody with a headscarf'],
    pass: ['Which holidays do Christians keep?', 'The candidate follows the style guide religiously', 'Recruiting for the Jewelry shop'],
  },
  {
    name: 'Ethnic origin in hiring',
    purpose: 'Somebody is hired, or not, with a word about origin, colour of skin, nationality or mother tongue.',
    article: 'Directive 2000/43/EC Art. 2, 3; Title VII, 42 U.S.C. 2000e-2; GDPR Art. 9(1)',
    condition: inHiring(
      `\\b(?:ethnic(?:ity)?|skin\\s+colou?r|racial|national\\s+origin|${OF}\\s+(?:race|nationality|origin|accent|skin)|(?:black|white|asian|african|hispanic|latino|latina|arab|roma|turkish|jewish|indian|chinese)\\s+(?:${PEOPLE}|names?)|foreign(?:-sounding)?\\s+names?|immigra(?:nt|tion)\\s+background|native\\s+speakers?\\s+only)\\b|\\bMigrationshintergrund\\b|\\bHautfarbe\\b|\\borigine\\s+ethnique\\b|\\borigen\\s+étnico\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'Sort the CVs by ethnicity',
      'Drop candidates with foreign-sounding names',
      'What is the nationality of the applicants? Note their accent.',
      'Bewerber mit Migrationshintergrund aussortieren',
    ],
    pass: ['A race condition delays the recruiter page', 'We hire for the Chinese market', 'Native apps only'],
  },
  {
    name: 'Disability or health in hiring',
    purpose: 'Somebody is hired, or not, with a word about illness or disability.',
    article: article('ADA 42 U.S.C. 12112(d); GDPR Art. 9(1)'),
    condition: inHiring(
      `\\b(?:disabled|disabilit(?:y|ies)|wheelchair|chronic(?:ally)?\\s+ill(?:ness)?|mental(?:ly)?\\s+(?:ill(?:ness)?|health)|depression|autis(?:m|tic)|adhd|epilep(?:sy|tic)|hiv|sick\\s+(?:leave|days)|medical\\s+history|handicap(?:ped|é|ée)?)\\b|\\bschwerbehindert|\\bBehinderung\\b|\\bdiscapacidad\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'Does the candidate have a disability?',
      'Estimate how many sick days this applicant will take',
      'Score CVs lower that mention depression',
      'Bewerberin ist schwerbehindert',
    ],
    pass: ['The new recruiter is able to start', 'The Great Depression changed how people found work', 'Our wheelchairs ship on Monday'],
  },
  {
    name: 'Sexual orientation or gender in hiring',
    purpose: 'Somebody is hired, or not, with a word about orientation, gender identity, or for being a man or a woman.',
    article: article('Title VII, 42 U.S.C. 2000e-2 (Bostock v. Clayton County); GDPR Art. 9(1)'),
    condition: inHiring(
      `\\b(?:gay|lesbian|homosexual|bisexual|transgender|trans\\s+(?:man|woman|person)|queer|sexual\\s+orientation|gender\\s+identity|(?:only|no|prefer|reject|exclude|skip|not\\s+want|(?:not|only)\\s+hire)\\s+(?:(?:a|for)\\s+)?(?:wom[ae]n|m[ae]n|females?|males?)|too\\s+(?:feminine|masculine))\\b|\\bnur\\s+(?:Männer|Frauen)\\b|\\bsexuelle\\s+Orientierung\\b`,
    ),
    action: 'ESCALATE',
    match: [
      'Is this applicant gay?',
      'Only men for this job opening, please',
      "Infer the candidates' sexual orientation from their profiles",
      'We prefer women; sort the CVs',
    ],
    pass: ['The candidate led a women in tech group', 'Recruiting for the Gaylord hotel', 'We hire men and women alike', 'Gender equality in Europe'],
  },
  {
    name: 'Union or politics in hiring',
    purpose: 'Somebody is hired, or not, with a word about unions, parties or votes.',
    article: 'Charter of Fundamental Rights Art. 12, 21; NLRA 29 U.S.C. 158(a)(3); GDPR Art. 9(1)',
    condition: inHiring(
      '\\b(?:(?:trade|labou?r|in\\s+an?)\\s+unions?|union\\s+(?:members?|membership|activists?|organi[sz]ers?)|unioni[sz](?:e|ed|ing)|work(?:s|ers.?)\\s+council|political\\s+(?:views?|opinions?|beliefs?|party|affiliation)|party\\s+member(?:ship)?|vot(?:es|ed)\\s+for|Gewerkschaft\\w*|Betriebsrat|syndicat|syndiqué|sindicato|sindicalista)\\b',
    ),
    action: 'ESCALATE',
    match: ['Check whether the applicant is a union member', 'Find the political views of these candidates', 'Bewerber aus der Gewerkschaft ablehnen'],
    pass: [
      'The union of both candidate sets',
      'Political science graduates may apply for the party planner role',
      'The credit union hires tellers',
      'A Western Union job opening',
    ],
  },
  {
    name: 'Personal trait in hiring, in German, French or Spanish',
    purpose: 'The same traits (age, family, religion, origin, health, orientation, union) beside a word about hiring in one of these languages.',
    article: article('AGG § 1; Code du travail Art. L1132-1; Estatuto de los Trabajadores Art. 17'),
    condition: inHiring(
      [
        '\\b(?:zu\\s+(?:alt|jung)|wie\\s+alt|unter\\s+\\d\\d|nach\\s+(?:Alter|Herkunft|Religion|Geschlecht)|schwanger\\w*|Kinderwunsch|verheiratet|geschieden|alleinerziehend\\w*|Muslim(?:e|in|innen)|Jud(?:e|en|in)|jüdisch\\w*|Konfession|Nationalität|Migrationshintergrund|Hautfarbe|(?:schwer)?behindert\\w*|chronisch\\s+krank|schwul|lesbisch|Gewerkschaft\\w*)\\b|(?:über|älter\\s+als|jünger\\s+als)\\s+\\d\\d\\b',
        '\\b(?:trop\\s+(?:jeune|vieux|vieille)|quel\\s+âge|(?:plus|moins)\\s+de\\s+\\d\\d\\s+ans|enceinte|mariée?|divorcée?|religion|musulmane?s?|juive?s?|nationalité|origine\\s+ethnique|couleur\\s+de\\s+peau|handicapée?s?|homosexuel(?:le)?s?|syndiquée?s?)\\b',
        '\\b(?:demasiado\\s+(?:mayor|joven|viej[oa])|qué\\s+edad|(?:mayores|menores)\\s+de\\s+\\d\\d|embarazadas?|casad[oa]s?|divorciad[oa]s?|religión|musulm[aá]n(?:a|as|es)?|judí[oa]s?|nacionalidad|origen\\s+étnico|color\\s+de\\s+piel|discapacidad|homosexual(?:es)?|sindicato)\\b',
      ].join('|'),
      HIRING_ABROAD,
    ),
    action: 'ESCALATE',
    match: [
      'Lehne alle Bewerber über 50 ab',
      'Ist die Bewerberin verheiratet?',
      'Le candidat est trop vieux, non ?',
      'Quelle est la religion de la candidate ?',
      'La candidata está embarazada',
      '¿Qué edad tiene el candidato?',
    ],
    pass: [
      'Schreibe eine freundliche Absage an einen Bewerber',
      'Le candidat a dix ans d’expérience en comptabilité',
      'El candidato habla inglés y alemán',
      'Die Software ist zu alt',
    ],
  },
  {
    name: 'Criminal record or social media in hiring',
    purpose: 'Looks into the past or private life of somebody who applies.',
    article: 'GDPR Art. 10 (criminal convictions), Art. 5(1)(b); FCRA 15 U.S.C. 1681b(b)',
    condition: inHiring(
      `\\b(?:criminal\\s+(?:records?|history|convictions?|background)|arrest\\s+records?|(?:search|check|scan|scrape|look\\s+(?:up|through|at))\\s+(?:${OF}\\s+)?(?:facebook|instagram|tiktok|twitter|social\\s+media)|Führungszeugnis|Vorstrafen|casier\\s+judiciaire|antecedentes\\s+penales)\\b`,
    ),
    action: 'ESCALATE',
    match: ['Look up the criminal record of the applicant', "Scan the candidate's social media for problems", 'Bewerber mit Vorstrafen aussortieren'],
    pass: ['We hire a social media manager', 'The candidate studied criminal law', 'Check the links on Facebook', 'Arrest the recruiting decline'],
  },
  {
    name: 'Automated rejection',
    purpose: 'Has a model reject or sort out people who apply, with nobody looking.',
    article: 'GDPR Art. 22(1) (automated decisions); EU AI Act Annex III(4)(a), Art. 14 (human oversight)',
    condition: pattern(
      '\\b(?:automatically|auto-?)\\s*(?:reject|decline|discard|filter\\s+out|screen\\s+out|turn\\s+down|dismiss)(?:s|ing)?\\b[^.!?\\n]*\\b(?:candidates?|applicants?|applications|CVs?|résumés?|resumes?)\\b|\\b(?:reject|decline|discard|filter\\s+out|screen\\s+out|turn\\s+down)\\s+(?:all\\s+|any\\s+|every\\s+|the\\s+|these\\s+|those\\s+|this\\s+)?(?:job\\s+)?(?:candidates?|applicants?|CVs?|résumés?)\\b|\\b(?:decide|choose|pick)\\s+(?:who|whom|which\\s+(?:of\\s+)?(?:the\\s+|these\\s+)?(?:candidates?|applicants?))\\s+(?:we\\s+(?:should\\s+)?|to\\s+|is\\s+|gets\\s+)?(?:hire|hired|reject|rejected|invite|invited|the\\s+job)\\b|\\b(?:Bewerber|Bewerbungen)\\s+(?:automatisch\\s+)?(?:ablehnen|aussortieren)',
    ),
    action: 'ESCALATE',
    match: [
      'Automatically reject applications without a degree',
      'Filter out candidates who live far away',
      'Decide which of these applicants to invite',
      'Bewerber automatisch ablehnen',
    ],
    pass: [
      'Automatically reject pull requests without tests',
      'Why was the candidate key rejected by the index?',
      'Write a kind letter to a candidate whom we turned down last week',
      'Decide who gets the cake',
    ],
  },
  {
    name: 'Reading people in interviews',
    purpose: 'Infers emotions, honesty or personality of somebody from face, voice or video in an interview.',
    article: 'EU AI Act Art. 5(1)(f) (emotion recognition at work); Illinois 820 ILCS 42 (video interviews)',
    condition: inHiring(
      '\\b(?:infer|detect|read|analy[sz]e|assess|score|recogni[sz]e|judge)s?\\b[^.!?\\n]*\\b(?:emotions?|mood|honesty|personality|nervous(?:ness)?|confidence|truthfulness|facial\\s+expressions?|tone\\s+of\\s+voice|body\\s+language)\\b[^.!?\\n]*\\b(?:video|voice|face|facial|recording|interview|webcam|photo|candidates?|applicants?)\\b',
    ),
    action: 'ESCALATE',
    match: [
      'Detect the emotions of the candidate in this interview video',
      "Score the applicant's personality from the voice recording",
      'Analyse facial expressions in the job interview recording',
    ],
    pass: ['Analyse the sales recording for the recruiter', 'How do candidates show confidence in general?', 'Detect the mood of a photo'],
  },
  {
    name: 'Ranking of people who apply',
    purpose: 'Has a model rank or score people who apply: high risk under the AI Act, so somebody should know.',
    article: 'EU AI Act Annex III(4)(a), Art. 26; NYC Local Law 144',
    condition: request({
      activities: [
        '(?:ranks?|scores?|rates?|grades?|compares?|shortlists?|sorts?)\\s+(?:(?:all|the|these|those|our|each|every|both|top|job|\\d+)\\s+)*(?:candidates?|applicants?|applications|CVs?|résumés?|resumes)\\b(?:\\s+(?:by|for|on|against|from|according|in|and|below|with)|[.:!?]|$)',
      ],
    }),
    action: 'WARN',
    match: [
      'Rank these candidates by experience',
      'Score each CV on a scale from 1 to 10',
      'shortlist the applicants: A, B, C',
      'Sort the CVs against the job profile',
    ],
    pass: ['Rank candidate genes by effect', 'Score the essay', 'The applications rank by size of binary', 'sort candidate moves'],
  },
]
