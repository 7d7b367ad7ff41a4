/** Accounts, advice, credit and markets. */
import { detects, type PresetEntry, pattern } from './preset-rule.ts'

const GLBA = 'GLBA 15 U.S.C. 6801, 16 CFR 314.4; GDPR Art. 32'
const ADVICE = 'MiFID II Art. 25(2) (suitability); SEC Regulation Best Interest, 17 CFR 240.15l-1'
const CREDIT = 'GDPR Art. 22(1) (automated decisions); EU AI Act Annex III(5)(b) (creditworthiness); ECOA 12 CFR 1002.9'
const ABUSE = 'MAR (EU) 596/2014'

const PRODUCT =
  '(?:stocks?|shares?|bonds?|funds?|etfs?|crypto(?:currency|currencies)?|bitcoin|ether(?:eum)?|options?|futures|securities|gold|treasur(?:y|ies)|annuit(?:y|ies)|portfolio|index\\s+funds?)'
const MINE = '(?:my|our|her|his|their|a\\s+client.?s|the\\s+client.?s|my\\s+client.?s|my\\s+(?:mother|father|wife|husband).?s)'
const LOAN = '(?:loan|credit|mortgage|overdraft|credit\\s+card|credit\\s+line)'

export const financial: readonly PresetEntry[] = [
  {
    name: 'Bank account number',
    purpose: 'Numbers of accounts right after such a word, in English, German, French or Spanish.',
    article: GLBA,
    condition: pattern(
      '\\b(?:(?:bank\\s+)?account|acct\\.?|checking|savings\\s+account|konto|depot|compte|cuenta)[\\s-]*(?:number|no\\.?|num|nr\\.?|nummer|n°|nº|#)\\s*[:=#]?\\s*(?:(?:is|ist|est|es)\\s+)?\\d[\\d -]{4,20}\\d\\b|\\bkontonummer\\s*:?\\s*\\d[\\d ]{4,14}\\d\\b|\\bn[uú]m[eé]ro\\s+(?:de\\s+)?(?:compte|cuenta)\\s*(?:bancaire|bancaria)?\\s*[:=]?\\s*(?:(?:est|es)\\s+)?\\d[\\d -]{4,20}\\d\\b',
    ),
    action: 'REDACT',
    match: ['account number: 000123456789', 'Acct # 1234-5678-90', 'Kontonummer 0532013000', 'compte n° 20041010050', 'Número de cuenta: 1234 5678 90'],
    pass: ['account number 12', 'the number of accounts is 123456', 'no account found', 'the account of 2024 and 2025'],
  },
  {
    name: 'Bank routing number',
    purpose: 'US routing numbers with a valid check digit, and sort codes of the United Kingdom, where the text names them.',
    article: GLBA,
    condition: { any: [detects('routing_number'), pattern('\\bsort\\s+code\\s*[:=#]?\\s*(?:is\\s+)?\\d\\d[- ]?\\d\\d[- ]?\\d\\d\\b')] },
    action: 'REDACT',
    match: ['routing number 021000021', 'ABA: 0110-0001-5', 'sort code 20-00-00'],
    pass: ['routing number 123456789', '021000021', 'sort codes 1 to 12', 'routing table 10'],
  },
  {
    name: 'SWIFT code',
    purpose: 'Codes of banks (BIC) right after such a word; eight capitals alone could be anything.',
    article: 'ISO 9362; GLBA 15 U.S.C. 6801',
    condition: pattern(
      '\\b(?:SWIFT|BIC)(?:[\\s/-]*(?:BIC|code|number))?\\s*[:=#]?\\s*(?:is\\s+)?[A-Z]{4}(?:A[DEFLORTUZ]|B[AEGHRY]|C[AHLNORYZ]|D[EKO]|E[EGS]|F[IOR]|G[BEILRT]|H[KRU]|I[DELNST]|J[OP]|K[RWZ]|L[BCITUV]|M[CDEKTUXY]|N[GLOZ]|P[AEHKLST]|QA|R[OSU]|S[AEGIKMV]|T[HNRW]|U[AS]|V[AGN]|XK|ZA)[A-Z2-9][A-NP-Z0-9](?:[A-Z0-9]{3})?\\b',
    ),
    action: 'REDACT',
    match: ['BIC: COBADEFFXXX', 'SWIFT code DEUTDEFF', 'SWIFT/BIC BNPAFRPP'],
    pass: ['SWIFT is a network of banks', 'a swift response', 'BIC code required', 'DEUTDEFF'],
  },
  {
    name: 'Tax or customer number',
    purpose: 'Tax, VAT and customer numbers right after such a word.',
    article: 'GDPR Art. 5(1)(c), Art. 87; 26 U.S.C. 6103 (return information)',
    condition: pattern(
      '\\bEIN\\s*[:#]?\\s*\\d\\d-\\d{7}\\b|\\b(?:EIN|ITIN|VAT|tax(?:payer)?|customer|client|kunden|steuer)[\\s-]*(?:id|number|no\\.?|nr\\.?|nummer|#)(?:\\s+(?:is|ist))?\\s*[:=#]?\\s*[A-Z]{0,3}-?\\d[\\d/. -]{4,13}\\d\\b',
    ),
    action: 'REDACT',
    match: ['EIN number 12-3456789', 'EIN: 12-3456789', 'VAT ID: DE123456789', 'customer number 00471108', 'Steuernummer: 93/815/08152'],
    pass: ['customer number 7', 'the VAT rate is 20', 'tax number missing', 'clients: 120000 in 2024'],
  },
  {
    name: 'Personalised investment advice',
    purpose: "Asks what one person should buy, sell or hold, or how one person's money should be invested. Questions about what a product is, pass.",
    article: ADVICE,
    condition: {
      any: [
        [
          `\\bshould\\s+(?:i|we|my\\s+\\w+|he|she|they|the\\s+client|this\\s+client)\\s+(?:buy|sell|hold|short|invest|put|keep|move)\\b[^.!?\\n]*\\b(?:${PRODUCT}|savings|pension|inheritance|401\\(?k\\)?|ira)\\b`,
          `\\b(?:what|which)\\s+${PRODUCT}\\s+(?:should|would|do)\\s+(?:i|we|you|my\\s+\\w+)\\s+(?:buy|sell|invest|pick|choose|recommend|put)\\b`,
          `\\bhow\\s+(?:should|do|can)\\s+(?:i|we)\\s+(?:best\\s+)?invest\\s+(?:\\$|€|£|${MINE}\\s|\\d)`,
          `\\b(?:recommend|suggest|pick|choose|build|design|propose)\\b[^.!?\\n]*\\b(?:${PRODUCT})\\s+(?:for|to)\\s+(?:me|us|him|her|them|my\\s+\\w+|this\\s+client|the\\s+client|a\\s+client|an?\\s+\\d\\d-year-old)\\b`,
        ].join('|'),
        [
          '\\bsoll(?:te|ten|en)?\\s+(?:ich|wir|mein\\w*\\s+\\w+)\\b[^.!?\\n]*\\b(?:Aktien?|Anleihen?|Fonds|ETFs?|Bitcoin|Gold|Erspart\\w*|Depot)\\b[^.!?\\n]*\\b(?:kaufen|verkaufen|halten|investieren|anlegen|stecken)\\b',
          '\\b(?:dois-je|devrais-je|devons-nous|devrions-nous)\\s+(?:vendre|acheter|garder|investir|placer)\\b[^.!?\\n]*\\b(?:actions|obligations|fonds|etf|bitcoin|or|argent|parts)\\b',
          '\\b(?:debo|debería|debemos|deberíamos)\\s+(?:vender|comprar|mantener|invertir)\\b[^.!?\\n]*\\b(?:acciones|bonos|fondos?|etf|bitcoin|oro|ahorros|dinero)\\b',
        ].join('|'),
      ].map((one) => pattern(one)),
    },
    action: 'ESCALATE',
    match: [
      'Should I sell my Tesla shares before the split?',
      'Which funds should I invest in?',
      'How should I invest my pension?',
      'Recommend a portfolio for my client, who is 60',
      'Should we put our savings into bitcoin?',
      'Soll ich meine Aktien verkaufen?',
      'Dois-je vendre mes actions maintenant ?',
      '¿Debo invertir mis ahorros en oro?',
    ],
    pass: [
      'What is an index fund?',
      'How do bonds differ from shares?',
      'Should I buy a new phone?',
      'Recommend a book about portfolio theory',
      'Which options should I pass to the compiler?',
      'Soll ich die Aktion in der Oberfläche anbieten?',
      'Dois-je vendre ma voiture ?',
    ],
  },
  {
    name: 'Automated credit decision',
    purpose: 'Has a model decide on, or score, one applicant for credit. Explaining how credit scoring works, passes.',
    article: CREDIT,
    condition: pattern(
      [
        `\\b(?:approve|reject|decline|deny|grant)\\s+(?:or\\s+(?:approve|reject|decline|deny|refuse)\\s+)?(?:this|the|her|his|their|these|each|every)\\s+(?:\\w+\\s+){0,2}?(?:${LOAN}\\s+)?(?:applications?|applicants?|loans?|mortgages?|borrowers?|${LOAN}\\s+requests?)\\b`,
        `\\b(?:decide|determine|predict|assess|tell\\s+me|judge)\\s+(?:if|whether)\\s+[^.!?\\n]*\\b(?:gets?|is\\s+granted|qualif(?:y|ies)\\s+for|is\\s+approved\\s+for|should\\s+(?:get|receive|be\\s+(?:granted|given))|will\\s+default\\s+on)\\s+(?:an?\\s+|the\\s+|this\\s+|his\\s+|her\\s+|their\\s+)?${LOAN}\\b`,
        '\\b(?:score|rate|rank|assess|evaluate)\\s+(?:the\\s+|this\\s+|these\\s+|our\\s+|each\\s+)(?:\\w+.?s?\\s+){0,2}?(?:creditworthiness|credit\\s+risk|borrowers?|loan\\s+applica(?:nts?|tions?))\\b',
      ].join('|'),
    ),
    action: 'ESCALATE',
    match: [
      'Approve or reject this loan application',
      'Decide whether the applicant gets the mortgage',
      "Assess this customer's creditworthiness from the statement",
      'Score these borrowers from 1 to 10',
      'Predict if she will default on her loan',
    ],
    pass: [
      'How is creditworthiness assessed?',
      'Reject the null hypothesis',
      'Approve the pull request',
      'The bank approved loans of 3 million',
      'Decide whether the cache is full',
    ],
  },
  {
    name: 'Insurance pricing of a person',
    purpose: 'Has a model set the premium of, or refuse, one person in life or health insurance.',
    article: 'EU AI Act Annex III(5)(c) (life and health insurance); IDD (EU) 2016/97 Art. 20',
    condition: pattern(
      '\\b(?:calculate|set|determine|decide|raise|quote|deny|refuse|decline)\\b[^.!?\\n]*\\b(?:premiums?|cover(?:age)?|life\\s+insurance|health\\s+insurance|claims?)\\s+(?:for|of|to)\\s+(?:this|the|these|my|a)\\s+(?:\\d\\d-year-old|applicant|customer|policy\\s*holder|patient|client|person|man|woman|smoker)',
    ),
    action: 'ESCALATE',
    match: [
      'Calculate the life insurance premium for this applicant',
      'Deny coverage to the policyholder with diabetes',
      'Set the premium of this customer by his postcode',
    ],
    pass: ['How are premiums calculated?', 'Calculate the premium of the option', 'Set the coverage threshold for the tests', 'Deny access to the client'],
  },
  {
    name: 'Insider information',
    purpose: 'Hints of trading on, or passing on, what the market does not know. A warning for compliance to look.',
    article: `${ABUSE} Art. 7, 8, 14 (insider dealing, unlawful disclosure); SEC Rule 10b-5`,
    condition: pattern(
      [
        '\\b(?:material\\s+)?non-?public\\s+information\\b[^.!?\\n]*\\b(?:buy|sell|trade|trading|short|position)\\b|\\b(?:buy|sell|trade|short)\\b[^.!?\\n]*\\b(?:MNPI|non-?public\\s+information|inside\\s+information)\\b',
        `\\b(?:buy|sell|short|trade|load\\s+up)\\b[^.!?\\n]*\\b(?:before|ahead\\s+of)\\s+(?:the\\s+|our\\s+|it.?s\\s+)?(?:earnings|merger|takeover|acquisition|announcement|news)\\b[^.!?\\n]*\\b(?:public|announced|leaks?|known|out)\\b`,
        '\\b(?:not\\s+(?:yet\\s+)?(?:public|announced)|confidential|secret)\\b[^.!?\\n]*\\b(?:merger|takeover|acquisition|earnings|profit\\s+warning)\\b[^.!?\\n]*\\b(?:buy|sell|short|trade)\\b',
      ].join('|'),
    ),
    action: 'WARN',
    match: [
      'I have material non-public information, how do I trade on it?',
      'Buy ACME before the merger is announced',
      'The takeover is confidential: the merger closes Friday, so buy now',
    ],
    pass: ['What is material non-public information?', 'Sell the house before the news', 'The merger was announced in May', 'buy milk before the announcement'],
  },
  {
    name: 'Market manipulation',
    purpose: 'Hints of moving a price: pump and dump, spoofing, layering, wash trades, front running. Explaining them, passes.',
    article: `${ABUSE} Art. 12, 15 (market manipulation); Dodd-Frank Act 747`,
    condition: pattern(
      `\\b(?:help|how\\s+(?:do|can|to)|let.?s|write|build|create|run|organi[sz]e|plan|set\\s+up)\\b[^.!?\\n]*\\b(?:pump[\\s-]and[\\s-]dump|(?:spoof|layer)(?:ing)?\\s+(?:the\\s+)?(?:orders?|order\\s+book|market)|wash[\\s-]trad(?:es?\\s+(?:between|with|on|in|of|to|this|the)|ing)|front[\\s-]?run(?:ning)?\\s+(?:the\\s+|our\\s+)?(?:clients?|customers?|orders?)|manipulat(?:e|ing)\\s+(?:the\\s+)?(?:price|market|stock)|spread\\s+(?:false\\s+)?rumou?rs)\\b`,
    ),
    action: 'WARN',
    match: [
      'Help me run a pump-and-dump with this coin',
      'Write a bot for spoofing orders',
      'How do we front-run the client orders?',
      'Plan wash trades between our accounts',
    ],
    pass: ['What is a pump and dump?', 'MAR prohibits spoofing orders', 'How do I wash trade-show shirts?', 'Regulators fined a bank for wash trading'],
  },
  {
    name: 'Evasion of controls',
    purpose: 'Hints of laundering money, splitting payments below a threshold, or getting round sanctions and identification.',
    article: 'Directive (EU) 2015/849 Art. 1, 11 (anti-money laundering); 31 U.S.C. 5324 (structuring); OFAC 31 CFR 501',
    condition: pattern(
      '\\b(?:help|how\\s+(?:do|can|to)|let.?s|i\\s+(?:want|need)\\s+to|we\\s+(?:want|need)\\s+to)\\b[^.!?\\n]*\\b(?:launder(?:ing)?\\s+(?:the\\s+|my\\s+|this\\s+|some\\s+)?(?:money|cash|funds|proceeds)|(?:structure|split)\\s+(?:the\\s+|my\\s+|our\\s+)?(?:deposits?|payments?|transfers?|cash)\\b[^.!?\\n]*\\b(?:avoid|below|under|report)|(?:evade|bypass|get\\s+around|circumvent|avoid)\\s+(?:the\\s+)?(?:sanctions|kyc|aml|know[\\s-]your[\\s-]customer)|hide\\s+(?:the\\s+|my\\s+|our\\s+)?(?:beneficial\\s+owner|assets\\s+from|income\\s+from))',
    ),
    action: 'WARN',
    match: ['How do I launder money through a casino?', 'Help me split the deposits to stay below 10000', 'We want to bypass KYC for this client'],
    pass: ['How do banks detect money laundering?', 'How do I split payments in Stripe?', 'I want to launder my shirts'],
  },
]
