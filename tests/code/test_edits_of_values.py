"""Edits of what functions are given and read: closures, arguments, objects of all kinds."""

from __future__ import annotations

import pytest
from edits import Edit, check, verdicts_on

EDITS = {
    "list of functions in a closure, what they reach": Edit(
        "def h(): return 1\ndef s(): return h()\ndef make(steps):\n    def call(): return [x() for x in steps]\n    return call\ncall = make([s])",
        "1",
        "2",
    ),
    "dict of lambdas in a closure, what they reach": Edit(
        "K = 1\ndef make(steps):\n    return lambda: steps['a']()\ncall = make({'a': lambda: K})",
        "1",
        "2",
    ),
    "tuple of classes in a closure": Edit(
        "class M:\n    def go(self): return 1\ndef make(steps):\n    return lambda: steps[0]().go()\ncall = make((M,))",
        "1",
        "2",
    ),
    "instances in a set, as they were": Edit(
        "def mk(k):\n    def rule(): return k\n    return rule\nclass R:\n    def __init__(self, f): self.f = f\nD = {R(mk(1)), R(mk(2)), R(lambda: 3), R(lambda: 4), R(lambda: 5), R(lambda: 6)}\ndef f(d): return d\ncall = f, D",
        "def f",
        "#\ndef f",
        "same",
    ),
    "function attribute": Edit("def h(): return h.k\nh.k = 1\ndef call(): return h()", "1", "2"),
    "own function attribute": Edit("def call(): return call.k\ncall.k = 1", "1", "2"),
    "deep chain of helpers": Edit(
        "def h0(): return h1()\ndef h1(): return h2()\ndef h2(): return h3()\ndef h3(): return h4()\ndef h4(): return h5()\ndef h5(): return h6()\ndef h6(): return h7()\ndef h7(): return h8()\ndef h8(): return h9()\ndef h9(): return h10()\ndef h10(): return h11()\ndef h11(): return h12()\ndef h12(): return h13()\ndef h13(): return h14()\ndef h14(): return h15()\ndef h15(): return h16()\ndef h16(): return h17()\ndef h17(): return h18()\ndef h18(): return h19()\ndef h19(): return h20()\ndef h20(): return h21()\ndef h21(): return h22()\ndef h22(): return h23()\ndef h23(): return h24()\ndef h24(): return h25()\ndef h25(): return h26()\ndef h26(): return h27()\ndef h27(): return h28()\ndef h28(): return h29()\ndef h29(): return h30()\ndef h30(): return h31()\ndef h31(): return h32()\ndef h32(): return h33()\ndef h33(): return h34()\ndef h34(): return h35()\ndef h35(): return h36()\ndef h36(): return h37()\ndef h37(): return h38()\ndef h38(): return h39()\ndef h39(): return h40()\ndef h40(): return h41()\ndef h41(): return h42()\ndef h42(): return h43()\ndef h43(): return h44()\ndef h44(): return h45()\ndef h45(): return h46()\ndef h46(): return h47()\ndef h47(): return h48()\ndef h48(): return h49()\ndef h49(): return h50()\ndef h50(): return h51()\ndef h51(): return h52()\ndef h52(): return h53()\ndef h53(): return h54()\ndef h54(): return h55()\ndef h55(): return h56()\ndef h56(): return h57()\ndef h57(): return h58()\ndef h58(): return h59()\ndef h59(): return h60()\ndef h60(): return h61()\ndef h61(): return h62()\ndef h62(): return h63()\ndef h63(): return h64()\ndef h64(): return h65()\ndef h65(): return h66()\ndef h66(): return h67()\ndef h67(): return h68()\ndef h68(): return h69()\ndef h69(): return h70()\ndef h70(): return h71()\ndef h71(): return h72()\ndef h72(): return h73()\ndef h73(): return h74()\ndef h74(): return h75()\ndef h75(): return h76()\ndef h76(): return h77()\ndef h77(): return h78()\ndef h78(): return h79()\ndef h79(): return h80()\ndef h80(): return h81()\ndef h81(): return h82()\ndef h82(): return h83()\ndef h83(): return h84()\ndef h84(): return h85()\ndef h85(): return h86()\ndef h86(): return h87()\ndef h87(): return h88()\ndef h88(): return h89()\ndef h89(): return h90()\ndef h90(): return h91()\ndef h91(): return h92()\ndef h92(): return h93()\ndef h93(): return h94()\ndef h94(): return h95()\ndef h95(): return h96()\ndef h96(): return h97()\ndef h97(): return h98()\ndef h98(): return h99()\ndef h99(): return h100()\ndef h100(): return h101()\ndef h101(): return h102()\ndef h102(): return h103()\ndef h103(): return h104()\ndef h104(): return h105()\ndef h105(): return h106()\ndef h106(): return h107()\ndef h107(): return h108()\ndef h108(): return h109()\ndef h109(): return h110()\ndef h110(): return h111()\ndef h111(): return h112()\ndef h112(): return h113()\ndef h113(): return h114()\ndef h114(): return h115()\ndef h115(): return h116()\ndef h116(): return h117()\ndef h117(): return h118()\ndef h118(): return h119()\ndef h119(): return h120()\ndef h120(): return h121()\ndef h121(): return h122()\ndef h122(): return h123()\ndef h123(): return h124()\ndef h124(): return h125()\ndef h125(): return h126()\ndef h126(): return h127()\ndef h127(): return h128()\ndef h128(): return h129()\ndef h129(): return h130()\ndef h130(): return h131()\ndef h131(): return h132()\ndef h132(): return h133()\ndef h133(): return h134()\ndef h134(): return h135()\ndef h135(): return h136()\ndef h136(): return h137()\ndef h137(): return h138()\ndef h138(): return h139()\ndef h139(): return h140()\ndef h140(): return h141()\ndef h141(): return h142()\ndef h142(): return h143()\ndef h143(): return h144()\ndef h144(): return h145()\ndef h145(): return h146()\ndef h146(): return h147()\ndef h147(): return h148()\ndef h148(): return h149()\ndef h149(): return h150()\ndef h150(): return h151()\ndef h151(): return h152()\ndef h152(): return h153()\ndef h153(): return h154()\ndef h154(): return h155()\ndef h155(): return h156()\ndef h156(): return h157()\ndef h157(): return h158()\ndef h158(): return h159()\ndef h159(): return h160()\ndef h160(): return h161()\ndef h161(): return h162()\ndef h162(): return h163()\ndef h163(): return h164()\ndef h164(): return h165()\ndef h165(): return h166()\ndef h166(): return h167()\ndef h167(): return h168()\ndef h168(): return h169()\ndef h169(): return h170()\ndef h170(): return h171()\ndef h171(): return h172()\ndef h172(): return h173()\ndef h173(): return h174()\ndef h174(): return h175()\ndef h175(): return h176()\ndef h176(): return h177()\ndef h177(): return h178()\ndef h178(): return h179()\ndef h179(): return h180()\ndef h180(): return h181()\ndef h181(): return h182()\ndef h182(): return h183()\ndef h183(): return h184()\ndef h184(): return h185()\ndef h185(): return h186()\ndef h186(): return h187()\ndef h187(): return h188()\ndef h188(): return h189()\ndef h189(): return h190()\ndef h190(): return h191()\ndef h191(): return h192()\ndef h192(): return h193()\ndef h193(): return h194()\ndef h194(): return h195()\ndef h195(): return h196()\ndef h196(): return h197()\ndef h197(): return h198()\ndef h198(): return h199()\ndef h199(): return h200()\ndef h200(): return h201()\ndef h201(): return h202()\ndef h202(): return h203()\ndef h203(): return h204()\ndef h204(): return h205()\ndef h205(): return h206()\ndef h206(): return h207()\ndef h207(): return h208()\ndef h208(): return h209()\ndef h209(): return h210()\ndef h210(): return h211()\ndef h211(): return h212()\ndef h212(): return h213()\ndef h213(): return h214()\ndef h214(): return h215()\ndef h215(): return h216()\ndef h216(): return h217()\ndef h217(): return h218()\ndef h218(): return h219()\ndef h219(): return h220()\ndef h220(): return h221()\ndef h221(): return h222()\ndef h222(): return h223()\ndef h223(): return h224()\ndef h224(): return h225()\ndef h225(): return h226()\ndef h226(): return h227()\ndef h227(): return h228()\ndef h228(): return h229()\ndef h229(): return h230()\ndef h230(): return h231()\ndef h231(): return h232()\ndef h232(): return h233()\ndef h233(): return h234()\ndef h234(): return h235()\ndef h235(): return h236()\ndef h236(): return h237()\ndef h237(): return h238()\ndef h238(): return h239()\ndef h239(): return h240()\ndef h240(): return h241()\ndef h241(): return h242()\ndef h242(): return h243()\ndef h243(): return h244()\ndef h244(): return h245()\ndef h245(): return h246()\ndef h246(): return h247()\ndef h247(): return h248()\ndef h248(): return h249()\ndef h249(): return h250()\ndef h250(): return h251()\ndef h251(): return h252()\ndef h252(): return h253()\ndef h253(): return h254()\ndef h254(): return h255()\ndef h255(): return h256()\ndef h256(): return h257()\ndef h257(): return h258()\ndef h258(): return h259()\ndef h259(): return h260()\ndef h260(): return h261()\ndef h261(): return h262()\ndef h262(): return h263()\ndef h263(): return h264()\ndef h264(): return h265()\ndef h265(): return h266()\ndef h266(): return h267()\ndef h267(): return h268()\ndef h268(): return h269()\ndef h269(): return h270()\ndef h270(): return h271()\ndef h271(): return h272()\ndef h272(): return h273()\ndef h273(): return h274()\ndef h274(): return h275()\ndef h275(): return h276()\ndef h276(): return h277()\ndef h277(): return h278()\ndef h278(): return h279()\ndef h279(): return h280()\ndef h280(): return h281()\ndef h281(): return h282()\ndef h282(): return h283()\ndef h283(): return h284()\ndef h284(): return h285()\ndef h285(): return h286()\ndef h286(): return h287()\ndef h287(): return h288()\ndef h288(): return h289()\ndef h289(): return h290()\ndef h290(): return h291()\ndef h291(): return h292()\ndef h292(): return h293()\ndef h293(): return h294()\ndef h294(): return h295()\ndef h295(): return h296()\ndef h296(): return h297()\ndef h297(): return h298()\ndef h298(): return h299()\ndef h299(): return h300()\ndef h300(): return h301()\ndef h301(): return h302()\ndef h302(): return h303()\ndef h303(): return h304()\ndef h304(): return h305()\ndef h305(): return h306()\ndef h306(): return h307()\ndef h307(): return h308()\ndef h308(): return h309()\ndef h309(): return h310()\ndef h310(): return h311()\ndef h311(): return h312()\ndef h312(): return h313()\ndef h313(): return h314()\ndef h314(): return h315()\ndef h315(): return h316()\ndef h316(): return h317()\ndef h317(): return h318()\ndef h318(): return h319()\ndef h319(): return h320()\ndef h320(): return h321()\ndef h321(): return h322()\ndef h322(): return h323()\ndef h323(): return h324()\ndef h324(): return h325()\ndef h325(): return h326()\ndef h326(): return h327()\ndef h327(): return h328()\ndef h328(): return h329()\ndef h329(): return h330()\ndef h330(): return h331()\ndef h331(): return h332()\ndef h332(): return h333()\ndef h333(): return h334()\ndef h334(): return h335()\ndef h335(): return h336()\ndef h336(): return h337()\ndef h337(): return h338()\ndef h338(): return h339()\ndef h339(): return h340()\ndef h340(): return h341()\ndef h341(): return h342()\ndef h342(): return h343()\ndef h343(): return h344()\ndef h344(): return h345()\ndef h345(): return h346()\ndef h346(): return h347()\ndef h347(): return h348()\ndef h348(): return h349()\ndef h349(): return h350()\ndef h350(): return h351()\ndef h351(): return h352()\ndef h352(): return h353()\ndef h353(): return h354()\ndef h354(): return h355()\ndef h355(): return h356()\ndef h356(): return h357()\ndef h357(): return h358()\ndef h358(): return h359()\ndef h359(): return h360()\ndef h360(): return h361()\ndef h361(): return h362()\ndef h362(): return h363()\ndef h363(): return h364()\ndef h364(): return h365()\ndef h365(): return h366()\ndef h366(): return h367()\ndef h367(): return h368()\ndef h368(): return h369()\ndef h369(): return h370()\ndef h370(): return h371()\ndef h371(): return h372()\ndef h372(): return h373()\ndef h373(): return h374()\ndef h374(): return h375()\ndef h375(): return h376()\ndef h376(): return h377()\ndef h377(): return h378()\ndef h378(): return h379()\ndef h379(): return h380()\ndef h380(): return h381()\ndef h381(): return h382()\ndef h382(): return h383()\ndef h383(): return h384()\ndef h384(): return h385()\ndef h385(): return h386()\ndef h386(): return h387()\ndef h387(): return h388()\ndef h388(): return h389()\ndef h389(): return h390()\ndef h390(): return h391()\ndef h391(): return h392()\ndef h392(): return h393()\ndef h393(): return h394()\ndef h394(): return h395()\ndef h395(): return h396()\ndef h396(): return h397()\ndef h397(): return h398()\ndef h398(): return h399()\ndef h399(): return h400()\ndef h400(): return 1\ndef call(): return h0()",
        "return 1",
        "return 7",
    ),
    "deep chain of classes": Edit(
        "class C0:\n    def go(self): return C1().go()\nclass C1:\n    def go(self): return C2().go()\nclass C2:\n    def go(self): return C3().go()\nclass C3:\n    def go(self): return C4().go()\nclass C4:\n    def go(self): return C5().go()\nclass C5:\n    def go(self): return C6().go()\nclass C6:\n    def go(self): return C7().go()\nclass C7:\n    def go(self): return C8().go()\nclass C8:\n    def go(self): return C9().go()\nclass C9:\n    def go(self): return C10().go()\nclass C10:\n    def go(self): return C11().go()\nclass C11:\n    def go(self): return C12().go()\nclass C12:\n    def go(self): return C13().go()\nclass C13:\n    def go(self): return C14().go()\nclass C14:\n    def go(self): return C15().go()\nclass C15:\n    def go(self): return C16().go()\nclass C16:\n    def go(self): return C17().go()\nclass C17:\n    def go(self): return C18().go()\nclass C18:\n    def go(self): return C19().go()\nclass C19:\n    def go(self): return C20().go()\nclass C20:\n    def go(self): return C21().go()\nclass C21:\n    def go(self): return C22().go()\nclass C22:\n    def go(self): return C23().go()\nclass C23:\n    def go(self): return C24().go()\nclass C24:\n    def go(self): return C25().go()\nclass C25:\n    def go(self): return C26().go()\nclass C26:\n    def go(self): return C27().go()\nclass C27:\n    def go(self): return C28().go()\nclass C28:\n    def go(self): return C29().go()\nclass C29:\n    def go(self): return C30().go()\nclass C30:\n    def go(self): return C31().go()\nclass C31:\n    def go(self): return C32().go()\nclass C32:\n    def go(self): return C33().go()\nclass C33:\n    def go(self): return C34().go()\nclass C34:\n    def go(self): return C35().go()\nclass C35:\n    def go(self): return C36().go()\nclass C36:\n    def go(self): return C37().go()\nclass C37:\n    def go(self): return C38().go()\nclass C38:\n    def go(self): return C39().go()\nclass C39:\n    def go(self): return C40().go()\nclass C40:\n    def go(self): return C41().go()\nclass C41:\n    def go(self): return C42().go()\nclass C42:\n    def go(self): return C43().go()\nclass C43:\n    def go(self): return C44().go()\nclass C44:\n    def go(self): return C45().go()\nclass C45:\n    def go(self): return C46().go()\nclass C46:\n    def go(self): return C47().go()\nclass C47:\n    def go(self): return C48().go()\nclass C48:\n    def go(self): return C49().go()\nclass C49:\n    def go(self): return C50().go()\nclass C50:\n    def go(self): return C51().go()\nclass C51:\n    def go(self): return C52().go()\nclass C52:\n    def go(self): return C53().go()\nclass C53:\n    def go(self): return C54().go()\nclass C54:\n    def go(self): return C55().go()\nclass C55:\n    def go(self): return C56().go()\nclass C56:\n    def go(self): return C57().go()\nclass C57:\n    def go(self): return C58().go()\nclass C58:\n    def go(self): return C59().go()\nclass C59:\n    def go(self): return C60().go()\nclass C60:\n    def go(self): return C61().go()\nclass C61:\n    def go(self): return C62().go()\nclass C62:\n    def go(self): return C63().go()\nclass C63:\n    def go(self): return C64().go()\nclass C64:\n    def go(self): return C65().go()\nclass C65:\n    def go(self): return C66().go()\nclass C66:\n    def go(self): return C67().go()\nclass C67:\n    def go(self): return C68().go()\nclass C68:\n    def go(self): return C69().go()\nclass C69:\n    def go(self): return C70().go()\nclass C70:\n    def go(self): return C71().go()\nclass C71:\n    def go(self): return C72().go()\nclass C72:\n    def go(self): return C73().go()\nclass C73:\n    def go(self): return C74().go()\nclass C74:\n    def go(self): return C75().go()\nclass C75:\n    def go(self): return C76().go()\nclass C76:\n    def go(self): return C77().go()\nclass C77:\n    def go(self): return C78().go()\nclass C78:\n    def go(self): return C79().go()\nclass C79:\n    def go(self): return C80().go()\nclass C80:\n    def go(self): return C81().go()\nclass C81:\n    def go(self): return C82().go()\nclass C82:\n    def go(self): return C83().go()\nclass C83:\n    def go(self): return C84().go()\nclass C84:\n    def go(self): return C85().go()\nclass C85:\n    def go(self): return C86().go()\nclass C86:\n    def go(self): return C87().go()\nclass C87:\n    def go(self): return C88().go()\nclass C88:\n    def go(self): return C89().go()\nclass C89:\n    def go(self): return C90().go()\nclass C90:\n    def go(self): return C91().go()\nclass C91:\n    def go(self): return C92().go()\nclass C92:\n    def go(self): return C93().go()\nclass C93:\n    def go(self): return C94().go()\nclass C94:\n    def go(self): return C95().go()\nclass C95:\n    def go(self): return C96().go()\nclass C96:\n    def go(self): return C97().go()\nclass C97:\n    def go(self): return C98().go()\nclass C98:\n    def go(self): return C99().go()\nclass C99:\n    def go(self): return C100().go()\nclass C100:\n    def go(self): return C101().go()\nclass C101:\n    def go(self): return C102().go()\nclass C102:\n    def go(self): return C103().go()\nclass C103:\n    def go(self): return C104().go()\nclass C104:\n    def go(self): return C105().go()\nclass C105:\n    def go(self): return C106().go()\nclass C106:\n    def go(self): return C107().go()\nclass C107:\n    def go(self): return C108().go()\nclass C108:\n    def go(self): return C109().go()\nclass C109:\n    def go(self): return C110().go()\nclass C110:\n    def go(self): return C111().go()\nclass C111:\n    def go(self): return C112().go()\nclass C112:\n    def go(self): return C113().go()\nclass C113:\n    def go(self): return C114().go()\nclass C114:\n    def go(self): return C115().go()\nclass C115:\n    def go(self): return C116().go()\nclass C116:\n    def go(self): return C117().go()\nclass C117:\n    def go(self): return C118().go()\nclass C118:\n    def go(self): return C119().go()\nclass C119:\n    def go(self): return C120().go()\nclass C120:\n    def go(self): return C121().go()\nclass C121:\n    def go(self): return C122().go()\nclass C122:\n    def go(self): return C123().go()\nclass C123:\n    def go(self): return C124().go()\nclass C124:\n    def go(self): return C125().go()\nclass C125:\n    def go(self): return C126().go()\nclass C126:\n    def go(self): return C127().go()\nclass C127:\n    def go(self): return C128().go()\nclass C128:\n    def go(self): return C129().go()\nclass C129:\n    def go(self): return C130().go()\nclass C130:\n    def go(self): return C131().go()\nclass C131:\n    def go(self): return C132().go()\nclass C132:\n    def go(self): return C133().go()\nclass C133:\n    def go(self): return C134().go()\nclass C134:\n    def go(self): return C135().go()\nclass C135:\n    def go(self): return C136().go()\nclass C136:\n    def go(self): return C137().go()\nclass C137:\n    def go(self): return C138().go()\nclass C138:\n    def go(self): return C139().go()\nclass C139:\n    def go(self): return C140().go()\nclass C140:\n    def go(self): return C141().go()\nclass C141:\n    def go(self): return C142().go()\nclass C142:\n    def go(self): return C143().go()\nclass C143:\n    def go(self): return C144().go()\nclass C144:\n    def go(self): return C145().go()\nclass C145:\n    def go(self): return C146().go()\nclass C146:\n    def go(self): return C147().go()\nclass C147:\n    def go(self): return C148().go()\nclass C148:\n    def go(self): return C149().go()\nclass C149:\n    def go(self): return C150().go()\nclass C150:\n    def go(self): return C151().go()\nclass C151:\n    def go(self): return C152().go()\nclass C152:\n    def go(self): return C153().go()\nclass C153:\n    def go(self): return C154().go()\nclass C154:\n    def go(self): return C155().go()\nclass C155:\n    def go(self): return C156().go()\nclass C156:\n    def go(self): return C157().go()\nclass C157:\n    def go(self): return C158().go()\nclass C158:\n    def go(self): return C159().go()\nclass C159:\n    def go(self): return C160().go()\nclass C160:\n    def go(self): return C161().go()\nclass C161:\n    def go(self): return C162().go()\nclass C162:\n    def go(self): return C163().go()\nclass C163:\n    def go(self): return C164().go()\nclass C164:\n    def go(self): return C165().go()\nclass C165:\n    def go(self): return C166().go()\nclass C166:\n    def go(self): return C167().go()\nclass C167:\n    def go(self): return C168().go()\nclass C168:\n    def go(self): return C169().go()\nclass C169:\n    def go(self): return C170().go()\nclass C170:\n    def go(self): return C171().go()\nclass C171:\n    def go(self): return C172().go()\nclass C172:\n    def go(self): return C173().go()\nclass C173:\n    def go(self): return C174().go()\nclass C174:\n    def go(self): return C175().go()\nclass C175:\n    def go(self): return C176().go()\nclass C176:\n    def go(self): return C177().go()\nclass C177:\n    def go(self): return C178().go()\nclass C178:\n    def go(self): return C179().go()\nclass C179:\n    def go(self): return C180().go()\nclass C180:\n    def go(self): return C181().go()\nclass C181:\n    def go(self): return C182().go()\nclass C182:\n    def go(self): return C183().go()\nclass C183:\n    def go(self): return C184().go()\nclass C184:\n    def go(self): return C185().go()\nclass C185:\n    def go(self): return C186().go()\nclass C186:\n    def go(self): return C187().go()\nclass C187:\n    def go(self): return C188().go()\nclass C188:\n    def go(self): return C189().go()\nclass C189:\n    def go(self): return C190().go()\nclass C190:\n    def go(self): return C191().go()\nclass C191:\n    def go(self): return C192().go()\nclass C192:\n    def go(self): return C193().go()\nclass C193:\n    def go(self): return C194().go()\nclass C194:\n    def go(self): return C195().go()\nclass C195:\n    def go(self): return C196().go()\nclass C196:\n    def go(self): return C197().go()\nclass C197:\n    def go(self): return C198().go()\nclass C198:\n    def go(self): return C199().go()\nclass C199:\n    def go(self): return C200().go()\nclass C200:\n    def go(self): return 1\ndef call(): return C0().go()",
        "return 1",
        "return 7",
    ),
    "made by exec: star": Edit(
        "ns = {'__name__': 'm'}\nexec('def call(*, a=1, b=2): return a', ns)\ncall = ns['call']",
        "*, a=1",
        "a=1, *",
    ),
    "made by exec: args": Edit(
        "ns = {'__name__': 'm'}\nexec('def h(a): return a', ns)\nh = ns['h']\ndef call(): return h((1,))",
        "def h(a",
        "def h(*a",
    ),
    "kwargs order": Edit(
        "def f(**kw): return list(kw)\ncall = f,\nnamed = {'a': 1, 'b': 2}",
        "a': 1, 'b': 2",
        "b': 2, 'a': 1",
    ),
    "positional only and kwargs of one name": Edit(
        "def f(a, /, **kw): return a\ncall = f, 1\nnamed = {'a': 2}", "1", "5"
    ),
    "operator functions": Edit(
        "import operator\nG = operator.itemgetter('a')\ndef call(): return G({'a': 1, 'b': 2})",
        "itemgetter('a",
        "itemgetter('b",
    ),
    "attrgetter arg": Edit(
        "import operator\ndef f(k): 0\ncall = f, operator.attrgetter('a.b')", "b", "c"
    ),
    "methodcaller body": Edit(
        "import operator\ncall = operator.methodcaller('upper'), 'a'", "upper", "lower"
    ),
    "np.vectorize": Edit(
        "import numpy as np\nh = np.vectorize(lambda x: 1)\ndef call(): return h([1])", " 1", " 2"
    ),
    "np.vectorize body": Edit(
        "import numpy as np\ncall = np.vectorize(lambda x: 1), [1]", " 1", " 2"
    ),
    "self with logger": Edit(
        "import logging\nclass M:\n    def __init__(self, k): self.k = k; self.log = logging.getLogger('a')\n    def go(self): return self.k\ncall = M(1).go",
        "1",
        "2",
    ),
    "self with lock": Edit(
        "import threading\nclass M:\n    def __init__(self, k): self.k = k; self.lock = threading.Lock()\n    def go(self): return self.k\ncall = M(1).go",
        "1",
        "2",
    ),
    "self with a session": Edit(
        "import requests\nclass M:\n    def __init__(self, k): self.s = requests.Session(); self.k = k\n    def go(self): return self.k\ncall = M('a').go",
        "'a",
        "'b",
    ),
    "settings with a connection": Edit(
        "import sqlite3\nC = {'db': sqlite3.connect(':memory:'), 'k': 1}\ndef call(): return C['k']",
        "1",
        "2",
    ),
    "dict with sklearn": Edit(
        "from sklearn.linear_model import Ridge\ndef f(c): 0\ncall = f, {'m': Ridge(), 'k': 1}",
        "1",
        "2",
    ),
    "structured with padding, as it was": Edit(
        "import numpy as np\nB = np.empty(1000, np.dtype([('a','i1'),('b','f8')], align=True))\nimport os\nX = np.frombuffer(os.urandom(16000), 'u1').copy()\nA = X.view(np.dtype([('a','i1'),('b','f8')], align=True))\nA['a'] = 1; A['b'] = 2\ndef f(p): return p\ncall = f, A\n# before",
        "before",
        "after",
        "same",
    ),
    "longdouble padding, as it was": Edit(
        "import numpy as np\nimport os\nX = np.frombuffer(os.urandom(160), 'u1').copy()\nA = X.view(np.longdouble); A[:] = 1.5\ndef f(p): return p\ncall = f, A\n# before",
        "before",
        "after",
        "same",
    ),
    "object void scalar, as it was": Edit(
        "import numpy as np\ndef f(p): return p\ncall = f, np.array([(1,'a'*300)], [('x','i4'),('y',object)])[0]\n# before",
        "before",
        "after",
        "same",
    ),
    "void scalar names": Edit(
        "import numpy as np\ndef f(p): return p\ncall = f, np.zeros(1, [('a','i4')])[0]", "'a", "'b"
    ),
    "masked array": Edit(
        "import numpy as np\ndef f(p): return p\ncall = f, np.ma.array([1,2], mask=[0,1])",
        "0,1",
        "1,0",
    ),
    "memmap": Edit(
        "import numpy as np\ndef M(k):\n    np.save('x.npy', np.array([k])); return np.load('x.npy', mmap_mode='r')\ndef f(p): return p\ncall = f, M(1)",
        "1",
        "2",
    ),
    "recarray": Edit(
        "import numpy as np\ndef f(p): return p\ncall = f, np.rec.array([(1,2)], names='a,b')",
        "2",
        "3",
    ),
    "matrix": Edit("import numpy as np\ndef f(p): return p\ncall = f, np.matrix([[1]])", "1", "2"),
    "own ndarray": Edit(
        "import numpy as np\nclass A(np.ndarray): pass\ndef f(p): return p\ncall = f, np.arange(3).view(A)",
        "3",
        "1,4",
    ),
    "own DataFrame": Edit(
        "import pandas as pd\nclass F(pd.DataFrame):\n    @property\n    def _constructor(self): return F\ndef f(p): return p\ncall = f, F({'a':[1]})",
        "1",
        "2",
    ),
    "own datetime": Edit(
        "import datetime as dt\nclass D(dt.datetime): pass\ndef f(p): return p\ncall = f, D(2020,1,1)",
        "1,1",
        "1,2",
    ),
    "own date": Edit(
        "import datetime as dt\nclass D(dt.date): pass\ndef f(p): return p\ncall = f, D(2020,1,1)",
        "1,1",
        "1,2",
    ),
    "own timedelta": Edit(
        "import datetime as dt\nclass D(dt.timedelta): pass\ndef f(p): return p\ncall = f, D(1)",
        "1",
        "2",
    ),
    "own Decimal": Edit(
        "import decimal\nclass D(decimal.Decimal): pass\ndef f(p): return p\ncall = f, D('1')",
        "1",
        "2",
    ),
    "own deque": Edit(
        "import collections\nclass D(collections.deque): pass\ndef f(p): return p\ncall = f, D([1])",
        "1",
        "2",
    ),
    "own exception": Edit(
        "class D(ValueError): pass\ndef f(p): return p\ncall = f, D('a')", "'a", "'b"
    ),
    "exception": Edit("def f(p): return p\ncall = f, ValueError('a')", "'a", "'b"),
    "own bytearray": Edit(
        "class D(bytearray): pass\ndef f(p): return p\ncall = f, D(b'a')", "b'a", "b'b"
    ),
    "own complex": Edit("class D(complex): pass\ndef f(p): return p\ncall = f, D(1)", "1", "2"),
    "own defaultdict": Edit(
        "import collections\nclass D(collections.defaultdict): pass\ndef f(p): return p\ncall = f, D(int)",
        "int",
        "list",
    ),
    "UserDict": Edit(
        "import collections\ndef f(p): return p\ncall = f, collections.UserDict(a=1)", "1", "2"
    ),
    "SimpleNamespace": Edit(
        "import types\ndef f(p): return p\ncall = f, types.SimpleNamespace(a=1)", "1", "2"
    ),
    "argparse": Edit(
        "from argparse import Namespace as N\ndef f(p): return p\ncall = f, N(a=1)", "1", "2"
    ),
    "mapping proxy": Edit(
        "import types\ndef f(p): return p\ncall = f, types.MappingProxyType({'a':1})", "1", "2"
    ),
    "keys": Edit("def f(p): return p\ncall = f, {'a':1}.keys()", "'a", "'b"),
    "values": Edit("def f(p): return p\ncall = f, {'a':1}.values()", "1", "2"),
    "items": Edit("def f(p): return p\ncall = f, {'a':1}.items()", "1", "2"),
    "array.array": Edit(
        "from array import array as A\ndef f(p): return p\ncall = f, A('i',[1])", "1", "2"
    ),
    "memoryview": Edit("def f(p): return p\ncall = f, memoryview(b'a')", "b'a", "b'b"),
    "string.Template": Edit(
        "from string import Template as A\ndef f(p): return p\ncall = f, A('a')", "'a", "'b"
    ),
    "configparser": Edit(
        "import configparser\ndef M(k):\n    c = configparser.ConfigParser(); c['a'] = {'k': str(k)}; return c\ndef f(p): return p\ncall = f, M(1)",
        "1",
        "2",
    ),
    "huge int": Edit("def f(p): return p\ncall = f, 10**5000", "5000", "5000+1"),
    "huge int and code": Edit("def f(p): return p\ncall = f, 2**100000", "100000", "100000+1"),
    "ellipsis": Edit("def f(p): return p\ncall = f, ...", "...", "None"),
    "NotImplemented": Edit(
        "def f(p): return p\ncall = f, NotImplemented", "NotImplemented", "None"
    ),
    "generic alias": Edit("def f(p): return p\ncall = f, list[int]", "int", "str"),
    "union": Edit("def f(p): return p\ncall = f, int | None", "int", "str"),
    "typing optional": Edit(
        "from typing import Optional\ndef f(p): return p\ncall = f, Optional[int]", "int", "str"
    ),
    "big CategoricalDtype": Edit(
        "import pandas as pd\ndef f(p): return p\ncall = f, pd.CategoricalDtype([f'c{i}' for i in range(200)])",
        "' for",
        "' if i != 100 else 'x' for",
    ),
    "pd.Timestamp subns": Edit(
        "import pandas as pd\ndef f(p): return p\ncall = f, pd.Timestamp('2020').as_unit('s')",
        "as_unit('s",
        "as_unit('ns",
    ),
    "pa schema long metadata": Edit(
        "import pyarrow as pa\ndef f(p): return p\ncall = f, pa.schema([('a','int8')],metadata={'k':'x'*500+'a'})",
        "500+'a",
        "500+'b",
    ),
    "polars dtype instance": Edit(
        "import polars as pl\ndef f(p): return p\ncall = f, {'a': pl.Int64()}", "Int64", "Int32"
    ),
    "polars object": Edit(
        "import polars as pl\ndef f(p): return p\ncall = f, pl.Series([object],dtype=pl.Object)\n# before",
        "before",
        "after",
        "unknown",
    ),
    "slots empty vs None": Edit(
        "class A: __slots__ = ('a',)\ndef M(k):\n    a = A()\n    if k: a.a = None\n    return a\ndef f(p): return p\ncall = f, M(0)",
        "0",
        "1",
    ),
    "graph with sets": Edit(
        "class N:\n    def __init__(self, k): self.k, self.near = k, set()\ndef M(k, n=6):\n    ns = [N(i) for i in range(n)]\n    ns[0].k = k\n    for a in ns:\n        for b in ns:\n            if a is not b: a.near.add(b)\n    return ns[0]\ndef f(p): return p\ncall = f, M(1)",
        "1",
        "2",
    ),
    "graph with sets, as it was": Edit(
        "class N:\n    def __init__(self, k): self.k, self.near = k, set()\ndef M(k, n=6):\n    ns = [N(i) for i in range(n)]\n    ns[0].k = k\n    for a in ns:\n        for b in ns:\n            if a is not b: a.near.add(b)\n    return ns[0]\ndef f(p): return p\ncall = f, M(1)\n# before",
        "before",
        "after",
        "same",
    ),
    "two nodes with sets": Edit(
        "class N:\n    def __init__(self, k): self.k, self.near = k, set()\ndef M(k, n=6):\n    ns = [N(i) for i in range(n)]\n    ns[0].k = k\n    for a in ns:\n        for b in ns:\n            if a is not b: a.near.add(b)\n    return ns[0]\ndef f(p): return p\ncall = f, M(1,2)",
        "1",
        "2",
    ),
    "np.mean argument": Edit(
        "import numpy as np\ndef f(g): 0\ncall = f, np.mean", "mean", "median"
    ),
    "cached function argument: helper": Edit(
        "import functools\ndef f(g): 0\ndef k(): return 1\n@functools.cache\ndef h(): return k()\ncall = f, [h]",
        "1",
        "2",
    ),
    "logger at root": Edit(
        "import logging\ndef f(l): 0\ncall = f, logging.getLogger('a')", "'a", "'b", "same"
    ),
    "engine in settings": Edit(
        "import sqlite3, threading\nclass S:\n    def __init__(self): self.db = sqlite3.connect(':memory:'); self.lock = threading.RLock(); self.k = {'a': [1]}\ns = S()\ndef call(): return s.k",
        "1",
        "2",
    ),
    "engine in settings, as it was": Edit(
        "import sqlite3, threading\nclass S:\n    def __init__(self): self.db = sqlite3.connect(':memory:'); self.lock = threading.RLock(); self.k = {'a': [1]}\ns = S()\ndef call(): return s.k",
        "class",
        "# c\nclass",
        "unknown",
    ),
    "bound builtin": Edit("D = {'a': 1}\nget = D.get\ndef call(): return get('a')", "1", "2"),
    "OSError": Edit("def f(e): 0\ncall = f, OSError(1, 'a', 'x')", "x", "y"),
    "tables that were looked at": Edit(
        "import pandas as pd, numpy as np\nd = pd.DataFrame({'a': [1, 2, 3], 'b': list('xyz')})\nm = np.ma.array([1, 2], mask=[0, 1])\nif hash('x') % 2: d['a']; d.a.sum(); d.index.is_unique; d.columns.get_loc('a'); d.index.get_indexer([1]); m.fill_value; m.sum(); d.loc[1]; d.set_index('b').loc['x']\ndef f(d, m): 0\ncall = f, d, m\n# before",
        "before",
        "after",
        "same",
    ),
    "cached property asked for": Edit(
        "import functools\nclass M:\n    @functools.cached_property\n    def w(self): return [1]\nm = M()\nif hash('x') % 2: m.w\ndef call(): return m.w\n# before",
        "before",
        "after",
        "same",
    ),
    "set of own frozen": Edit(
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int\n    y: str\nS = {P(i, str(i)) for i in range(20)}\ndef f(s): return s\ncall = f, S\n# before",
        "before",
        "after",
        "same",
    ),
    "dict with all kinds": Edit(
        "import datetime as dt, decimal, pathlib, re, uuid, fractions, collections, types, enum, numpy as np, pandas as pd, argparse, operator, functools, ipaddress, zoneinfo, string, array, configparser, typing\nclass E(enum.Enum):\n    A = 1\ndef g(): return 1\nc = configparser.ConfigParser(); c.read_string('[a]\\nb=1')\nD = dict(a=dt.datetime.now, b=decimal.Decimal('1.5'), c=pathlib.Path('a'), d=re.compile('a', re.I), e=uuid.UUID(int=1), f=fractions.Fraction(1, 2), g=collections.Counter('aab'), h=types.SimpleNamespace(a=1), i=E.A, j=np.arange(3), k=pd.DataFrame({'a': [1]}), l=argparse.Namespace(a=1), m=operator.itemgetter(1, 2), n=functools.partial(g, a=1), o=ipaddress.ip_address('1.1.1.1'), p=zoneinfo.ZoneInfo('Europe/Paris'), q=string.Template('a'), r=array.array('i', [1]), s=c, t=typing.Optional[int], u=list[int], v=int | None, w=object(), x=..., y=NotImplemented, z=ValueError('a', 1))\ndef f(d): 0\ncall = f, D\n# before",
        "before",
        "after",
        "same",
    ),
    "set of mixed": Edit(
        "S = {1, 'a', 2.5, None, (1,), b'x', frozenset({1, 2})}\ndef f(s): return s\ncall = f, S\n# before",
        "before",
        "after",
        "same",
    ),
    "raised exception": Edit(
        "def mk():\n    try: 1/0\n    except ZeroDivisionError as e: return e\ndef f(e): 0\ncall = f, mk()",
        "1",
        "2",
        "same",
    ),
    "kwargs order in a wrapped function": Edit(
        "import functools\ndef d(f):\n    @functools.wraps(f)\n    def w(*a, **k): return f(*a, **k)\n    return w\n@d\ndef f(a, b): return a\ncall = f,\nnamed = {'a': 1, 'b': 2}",
        "a': 1, 'b': 2",
        "b': 2, 'a': 1",
        "same",
    ),
}


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    return verdicts_on(EDITS, tmp_path_factory.mktemp("edits"))


@pytest.mark.parametrize("name", EDITS)
def test_verdict_of_an_edit(name, verdicts):
    check(name, EDITS, verdicts)
